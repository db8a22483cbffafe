"""Judging synthetic image sets: how good they are (score), and whether they copy (audit)."""
