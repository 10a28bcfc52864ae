"""The base class of the package's errors, those of the store and of engines, and that by which a task skips its run."""

from __future__ import annotations

from pyramid_cron.printable import message

NO_REASON = 'no reason given'
# characters of a reason that are kept
LONGEST_REASON = 500


class CronError(Exception):
    """The base of all errors that this package defines, for a single ``except``."""


class Unavailable(CronError):
    """The store is not available: nothing that depends on it runs.

    :param disconnected: whether the connection to it is lost, and another one may work.
    :param brief: the message without the text of the database's error, for answers and mails; ``None`` if the message
        has no such text.
    """

    def __init__(self, message: str, disconnected: bool = False, brief: str | None = None) -> None:
        super().__init__(message)
        self.disconnected = disconnected
        self.brief = message if brief is None else brief


class EngineNotAnswering(CronError):
    """A run was not enqueued, because its engine did not answer in the same tick before."""


class Skip(CronError):
    """Raised by a task that finds nothing to do: its work is rolled back, and its run is ``skipped``, not failed.

    :param reason: why, for the log, the report and the record. A value that is no text is converted to one.
    """

    def __init__(self, reason: object = None) -> None:
        super().__init__(*(() if reason is None else (reason,)))


def skip_reason(skip: BaseException) -> str:
    """Return the reason of a :exc:`Skip` as one line."""
    return message(skip)[:LONGEST_REASON] or NO_REASON
