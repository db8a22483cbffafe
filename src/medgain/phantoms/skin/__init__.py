"""Made-up dermoscopic images with artefacts."""

from medgain.phantoms.skin.phantom import SkinPhantom as SkinPhantom
