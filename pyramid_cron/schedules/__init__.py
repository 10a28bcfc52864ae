"""Schedules: which minutes match, computed from an instant that is passed in, and without Pyramid."""
