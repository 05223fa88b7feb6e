"""The built-in open(), for the rows that are measured against it."""

DISTRIBUTIONS: list[str] = []
