"""Checks of the repository: its prose, code walks and results. Not part of the package."""
