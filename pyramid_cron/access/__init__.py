"""Access control of the trigger: which requests may start a run."""
