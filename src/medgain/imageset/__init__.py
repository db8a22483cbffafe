"""Image sets: the central type, importers, phantoms, splits and the leak guard."""
