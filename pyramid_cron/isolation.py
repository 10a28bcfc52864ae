"""Isolation of tasks from each other and the process: exits, disabled logging and forks."""

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
# under a command, a task that calls sys.exit() has failed, and its status is not that of the command
OF_COMMANDS: Exits = (KeyboardInterrupt,)


def ends_process(exc: BaseException, exits: Exits) -> bool:
    """Return whether an exception ends the process or the server's worker, and is not a failure of a task.

    An exit ends the process only in the main thread. In another thread it is a failure: waitress would end that thread
    and lose the connection. gevent ends a greenlet by ``GreenletExit`` in any thread.

    :param exits: the exceptions that end the process when they are raised in the main thread.
    """
    # not isinstance(), which reads __class__ from the exception, a property that may raise another one
    kind = type(exc)
    greenlet = sys.modules.get('greenlet')
    if greenlet is not None and issubclass(kind, greenlet.GreenletExit):
        return True
    return issubclass(kind, exits) and threading.current_thread() is threading.main_thread()


@functools.cache
def enable_loggers() -> None:
    """Enable the loggers of this package that the start of the application disabled: once, at the first tick."""
    disabled = [logger for logger in _loggers() if logger.disabled]
    for logger in disabled:
        logger.disabled = False
    if disabled:
        log.warning(
            '%d loggers of pyramid_cron were disabled, as logging.config.fileConfig() does, and are enabled again: '
            'pass disable_existing_loggers=False to it, in env.py of Alembic for example',
            len(disabled),
        )


class Guard:
    """Protection of the following tasks and of the run from the effects of a task on its process.

    - Loggers of this package that a task disabled, which is the default when it configures logging, are enabled again,
      and so are the levels that it disabled for all loggers.
    - A child process that a task forked ends when the task ends in it: only the parent continues the run.

    :param process: the id of the process that runs the tasks, this one by default.
    :param end: ends the process at once, with an exit status.
    """

    __slots__ = ('_disabled', '_end', '_loggers', '_process')

    def __init__(self, process: int | None = None, end: Callable[[int], object] = os._exit) -> None:
        self._process = os.getpid() if process is None else process
        self._end = end
        self._loggers = [logger for logger in _loggers() if not logger.disabled]
        self._disabled = logging.root.manager.disable

    def after(self, name: str, exc: BaseException | None) -> None:
        """Restore logging after a task, and end the process if it is a child that the task forked.

        :param name: the name of the task.
        :param exc: the exception that the task raised, if any.
        """
        for logger in self._loggers:
            logger.disabled = False
        # never disabled again: at the beginning of the run a task of another run may have disabled it for a while
        if logging.root.manager.disable > self._disabled:
            logging.disable(self._disabled)
        process = os.getpid()
        if process == self._process:
            return
        try:
            log.error(
                'task %s ended in process %d, which it had forked: the process ends here; call os._exit() in it',
                name,
                process,
                exc_info=exc,
            )
        finally:
            self._end(_status(exc))


def _status(exc: BaseException | None) -> int:
    """Return the exit status that Python would use for ``exc``."""
    if not isinstance(exc, SystemExit):
        return int(exc is not None)
    return exc.code & 0xFF if isinstance(exc.code, int) else int(exc.code is not None)


@functools.cache
def _loggers() -> tuple[logging.Logger, ...]:
    package = __name__.partition('.')[0]
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition('.')[0] == package]
    return tuple(map(logging.getLogger, names))
