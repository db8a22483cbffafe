"""Layers and penalties that several networks share."""
