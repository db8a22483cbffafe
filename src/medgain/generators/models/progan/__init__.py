"""ProGAN."""

from medgain.generators.models.progan.model import Progan as Progan
