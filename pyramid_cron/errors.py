"""The base class of the package's errors."""


class CronError(Exception):
    """The base of all errors that this package defines, for a single ``except``."""
