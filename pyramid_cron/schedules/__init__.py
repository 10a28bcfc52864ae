"""Schedules: which minutes match, without Pyramid and without reading a clock."""
