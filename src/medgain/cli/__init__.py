"""Floor 7: the command line. Each module parses, calls one function below, and prints."""
