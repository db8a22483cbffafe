"""The plan of a study, and how it is read and checked."""
