"""BigGAN."""

from medgain.generators.models.biggan.model import Biggan as Biggan
