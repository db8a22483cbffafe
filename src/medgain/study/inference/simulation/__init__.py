"""Simulated studies with a known truth, to check intervals and tests."""
