"""The base of the errors of this package."""


class CronError(Exception):
    """Base of the errors that pyramid_cron raises."""
