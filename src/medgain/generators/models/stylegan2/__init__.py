"""StyleGAN2."""

from medgain.generators.models.stylegan2.model import Stylegan2 as Stylegan2
