"""What is asked and said about tasks without a run: their last runs, and their pauses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.claims import Claims, Pause, Unavailable
from pyramid_cron.events import TaskPaused, TaskResumed
from pyramid_cron.reports import PastRun
from pyramid_cron.schedules import clock
from pyramid_cron.store import pauses, queries
from pyramid_cron.store.database import Database
from pyramid_cron.store.turns import Options, in_a_line

log = logging.getLogger(__name__)

Written = TypeVar('Written')


class Remembering(Claims):
    """Claims that remember.

    :param database: the store's.
    :param options: what the settings say.
    :param monotonic: a clock in seconds that nobody sets.
    """

    def __init__(self, database: Database, options: Options, monotonic: Callable[[], float]) -> None:
        super().__init__(monotonic)
        self.database = database
        self.options = options

    def last_runs(self) -> dict[str, PastRun]:
        with self.reading() as connection:
            return {} if connection is None else queries.last_runs(connection, self.options.app)

    def pause(
        self, names: Collection[str], *, reason: str, until: datetime | None = None, requested_by: str | None = None
    ) -> None:
        self._write(lambda connection: pauses.pause(connection, self.options.app, names, reason, until, requested_by))
        for name in names:
            log.warning('task %s is paused%s: %s', name, f' by {requested_by}' if requested_by else '', reason)
            self.options.tell(TaskPaused(name, until, reason, requested_by))

    def resume(self, names: Collection[str], *, requested_by: str | None = None) -> list[str]:
        resumed = self._write(lambda connection: pauses.resume(connection, self.options.app, names, clock.now()))
        for name in resumed:
            log.warning('task %s is resumed%s', name, f' by {requested_by}' if requested_by else '')
            self.options.tell(TaskResumed(name, requested_by))
        return resumed

    def paused(self) -> dict[str, Pause]:
        with self.reading() as connection:
            return {} if connection is None else pauses.paused(connection, self.options.app, clock.now())

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Give a connection to look at what is remembered, or ``None`` if there are no tables yet.

        :raises Unavailable: if the database cannot be asked, or an answer fails.
        """
        try:
            with self.database.reading() as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise Unavailable(f'the store cannot be asked: {in_a_line(exc)}') from exc

    def _write(self, write: Callable[[Connection], Written]) -> Written:
        try:
            with self.database.begin() as connection:
                return write(connection)
        except SQLAlchemyError as exc:
            raise Unavailable(f'the store cannot be asked: {in_a_line(exc)}') from exc
