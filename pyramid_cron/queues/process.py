"""Start runs in processes of their own, on the machine that received the tick: ``via='process'``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyramid_cron.config_uri import ADVICE, Configuration, configuration
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.places import Places
from pyramid_cron.separate_processes import NotStarted, SeparateProcesses, interpreter, start_run
from pyramid_cron.settings import Settings, app_name

log = logging.getLogger(__name__)

# so many that a machine is not overloaded at midnight, when much is due
AT_MOST = 10
LARGEST = 1000
UNKNOWN = (
    "via='process' has to know the configuration file, which is found if pserve, gunicorn --paste or pcron has loaded "
    f'it: {ADVICE}'
)


def _nice(text: str) -> int:
    return _number(text, 0, 19)


def _at_most(text: str) -> int:
    return _number(text, 1, LARGEST)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f'it has to be a number from {least} to {most}')
    return int(text)


OPTIONS: dict[str, Callable[[str], Any]] = {'nice': _nice, 'at_most': _at_most}
WITHIN_CLAIM = False


class ProcessEngine:
    """Starts ``pcron perform`` for each run.

    :param found: the configuration file of the application, ``None`` if it is not known.
    :param places: limits how many of these processes run at once.
    :param nice: what is added to the niceness of the server.
    """

    def __init__(self, found: Configuration | None, places: Places, nice: int = 0) -> None:
        self._found = found
        self._places = places
        self._nice = nice
        # the place of the run that a thread is about to start
        self._of_thread = threading.local()

    @contextmanager
    def admit(self) -> Iterator[str | None]:
        """Take a place for the run that is started in the ``with``; ``None``, or the reason why there is none.

        :raises pyramid_cron.queues.places.NoPlaces: if places cannot be taken.
        """
        place = self._places.take()
        if place is None:
            number = self._places.number
            running = '1 process of this engine runs' if number == 1 else f'{number} processes of this engine run'
            yield f'{running} on this machine (at_most={number})'
            return
        self._of_thread.place = place
        try:
            yield None
        finally:
            self._of_thread.place = None
            # the process has inherited it, and keeps it
            os.close(place)

    def __call__(self, handover: Handover) -> None:
        """Start the process of a run.

        :raises LookupError: if the configuration file is not known.
        :raises pyramid_cron.separate_processes.NotStarted: if no process can be started.
        """
        if self._found is None:
            raise LookupError(UNKNOWN)
        place = getattr(self._of_thread, 'place', None)
        if place is not None:
            self._start(self._found, handover, place)
            return
        # a run by name, or one that is enqueued again: neither can wait for a following tick
        place = self._places.take()
        try:
            self._start(self._found, handover, place)
        finally:
            if place is not None:
                os.close(place)

    def _start(self, found: Configuration, handover: Handover, place: int | None) -> None:
        kept = () if place is None else (place,)
        start_run(found.uri, handover.key, found.variables, nice=self._nice, keep_open=kept)

    def check(self) -> str:
        """Start a process, for ``pcron doctor``, and return what was found.

        :raises LookupError: if no run could be started.
        """
        try:
            SeparateProcesses().start([interpreter(), '-I', '-S', '-c', ''])
        except NotStarted as exc:
            raise LookupError(str(exc)) from exc
        if self._found is None:
            raise LookupError(UNKNOWN)
        file = self._found.uri.partition('#')[0]
        if ':' not in file and not Path(file).is_file():
            raise LookupError(f'there is no file {file}: {ADVICE}')
        return f'processes can be started, and load {self._found.uri}'


def make_enqueue(options: dict[str, Any], registry: Any) -> ProcessEngine:
    """Return the engine.

    :param options: ``nice`` and ``at_most``.
    :raises ValueError: if there is no store.
    """
    settings: Settings = registry['cron_settings']
    if registry['cron_store'] is None:
        raise ValueError(
            'a process of its own needs a store, which knows that it runs, and when it has died: set cron.store, as in '
            'sqlite:///%(here)s/cron.sqlite'
        )
    found = configuration(settings)
    if found is None:
        log.warning('%s; until then its runs fail', UNKNOWN)
    nice, at_most = options.get('nice', 0), options.get('at_most', AT_MOST)
    group = repr((app_name(settings, registry), found, nice, at_most))
    return ProcessEngine(found, Places(at_most, group), nice)
