"""Memorisation: is a synthetic image closer to a training image than chance explains?"""
