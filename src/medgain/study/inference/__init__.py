"""From results to verdicts: one module for each question."""
