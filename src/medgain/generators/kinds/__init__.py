"""The kinds of generators, by what they make images from: noise, masks, or other images."""
