"""Made-up abdominal CT with kidneys and tumours."""

from medgain.phantoms.kidney.phantom import KidneyPhantom as KidneyPhantom
