"""Advice before a study: what to try first, what it costs here, and what it could find."""
