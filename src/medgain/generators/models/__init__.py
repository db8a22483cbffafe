"""The generators. A module or folder here registers its own; there is no list to edit."""
