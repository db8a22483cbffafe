"""Floor 2: folders and tables of images, in other people's layouts, become image sets."""
