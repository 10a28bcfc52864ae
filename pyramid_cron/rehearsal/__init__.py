"""Rehearsals: one run of a task, rolled back in any case: ``pcron rehearse``."""
