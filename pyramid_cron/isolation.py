"""What a task can do to the process it runs in, and what is let through of it."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

Exits = tuple[type[BaseException], ...]

# gunicorn ends a sync worker by raising SystemExit from a signal's handler, wherever the main thread is
OF_SERVERS: Exits = (KeyboardInterrupt, SystemExit)
# a command's task that calls sys.exit() has failed, and what it said is not the command's status
OF_COMMANDS: Exits = (KeyboardInterrupt,)


def ends_process(exc: BaseException, exits: Exits) -> bool:
    """Tell whether an exception is how the process or its server ends, and not what a task did wrong.

    In another thread than the main one nothing ends a process. There waitress, for one, would lose the connection to
    what it takes for the end of its thread. gevent ends a greenlet by ``GreenletExit``, wherever it is.

    :param exits: what ends the process if it is raised in the main thread.
    """
    # not isinstance(), which asks an exception that has a __class__ of its own, and may have it raise another
    kind = type(exc)
    greenlet = sys.modules.get('greenlet')
    if greenlet is not None and issubclass(kind, greenlet.GreenletExit):
        return True
    return issubclass(kind, exits) and threading.current_thread() is threading.main_thread()


class Guard:
    """Undoes, after each task of a run, what would hurt those that come behind it.

    - Loggers of this package that a task disabled, as configuring logging does by default, are enabled again, and so
      are the levels that it disabled for all loggers.
    - A process that a task forked ends where the task does: what comes after it is its parent's to do.

    :param process: the number of the process that runs the tasks.
    :param end: ends a process at once, with a status.
    """

    __slots__ = ('_disabled', '_end', '_loggers', '_process')

    def __init__(self, process: int | None = None, end: Callable[[int], object] = os._exit) -> None:
        self._process = os.getpid() if process is None else process
        self._end = end
        self._loggers = [logger for logger in _loggers() if not logger.disabled]
        self._disabled = logging.root.manager.disable

    def after(self, name: str, exc: BaseException | None) -> None:
        """Undo what the task of that name did.

        :param exc: what it raised.
        """
        for logger in self._loggers:
            logger.disabled = False
        # nothing but enabled again: the tasks of another run may be about to undo themselves what they disabled
        if logging.root.manager.disable > self._disabled:
            logging.disable(self._disabled)
        process = os.getpid()
        if process == self._process:
            return
        try:
            log.error(
                'task %s came back in process %d, which it had forked: it is ended here; let it call os._exit() itself',
                name,
                process,
                exc_info=exc,
            )
        finally:
            self._end(_status(exc))


def _status(exc: BaseException | None) -> int:
    """Return the status that a process ends with which raises ``exc``."""
    if not isinstance(exc, SystemExit):
        return int(exc is not None)
    return exc.code & 0xFF if isinstance(exc.code, int) else int(exc.code is not None)


@functools.cache
def _loggers() -> tuple[logging.Logger, ...]:
    package = __name__.partition('.')[0]
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition('.')[0] == package]
    return tuple(map(logging.getLogger, names))
