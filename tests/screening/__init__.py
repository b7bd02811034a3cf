"""Tests of the screening of skills by other authors."""
