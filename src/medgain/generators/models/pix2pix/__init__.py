"""pix2pix."""

from medgain.generators.models.pix2pix.model import Pix2pix as Pix2pix
