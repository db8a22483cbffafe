"""The records of a study: what its JSON files hold, written, read and refused by type.

A stage that ran to its end and one that failed leave records of different types: what a failure
has not, it cannot be asked for.
"""
