"""Measurements of sharing under attack."""
