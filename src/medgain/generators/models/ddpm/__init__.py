"""DDPM, the diffusion baseline."""

from medgain.generators.models.ddpm.model import Ddpm as Ddpm
