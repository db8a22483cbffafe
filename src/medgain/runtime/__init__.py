"""Floor 1: what every floor stands on — errors, seeds, devices, progress, run folders, registries."""
