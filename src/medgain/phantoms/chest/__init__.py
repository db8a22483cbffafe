"""Made-up chest X-rays."""

from medgain.phantoms.chest.phantom import ChestPhantom as ChestPhantom
