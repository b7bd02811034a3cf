"""Checks of the repository's prose, code walks and results. Not part of the package."""
