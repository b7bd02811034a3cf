"""Checks of the repository itself: its prose, its size, its walks. Not part of the package."""
