"""R3GAN."""

from medgain.generators.models.r3gan.model import R3gan as R3gan
