"""The stages of a study: generators, cells and assessments."""
