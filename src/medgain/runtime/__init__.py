"""Floor 1: errors, seeds, devices, progress, atomic files and registries."""
