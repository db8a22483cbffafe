"""Made-up chest CT with lungs."""

from medgain.phantoms.lung.phantom import LungPhantom as LungPhantom
