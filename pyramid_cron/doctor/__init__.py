"""Checks of a set-up from where it is run: for ``pcron doctor``."""
