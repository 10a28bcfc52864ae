"""Checks that a task's work commits together with its record, in a transaction that is rolled back."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import registry

from pyramid_cron.schedules import clock
from pyramid_cron.store.database import Database
from pyramid_cron.store.leases import Process
from pyramid_cron.store.schema import processes
from pyramid_cron.store.session import Joined, require_same_database, session_of
from pyramid_cron.transactions import RunTransactions, manager_of

# the name of the transaction, in place of that of a task
NAME = 'pcron store check'


class RolledBack(Exception):
    """Ends the check when its session commits."""


class SessionCheck:
    """Does what a run does, with a request of the application, except for the commit.

    :param database: the database of the store.
    :param session: the attribute of the request that holds the session.
    """

    def __init__(self, database: Database, session: str) -> None:
        self._database = database
        self._session = session
        # the store commits the one, and the session is to write the other
        self._process, self._other = Process(0), Process(0)
        #: whether the session came to its commit
        self.joined = False
        #: the error that kept it from there
        self.failure: Exception | None = None

    def __enter__(self) -> SessionCheck:
        with self._database.begin() as connection:
            self._process.renew(connection)
        return self

    def __exit__(self, *raised: object) -> None:
        with self._database.begin() as connection:
            mine = processes.c.id.in_([self._process.id, self._other.id])
            connection.execute(connection.delete(processes).where(mine))

    def __call__(self, request: Any) -> None:
        """Check it with a request that has come to where tasks run."""
        system = {
            'request': request,
            'registry': request.registry,
            'time_left': lambda: 0.0,
            'scheduled_for': clock.current_minute(),
        }
        transactions = RunTransactions(request)
        mapping = registry()
        joined = None
        try:
            with transactions.around(NAME, system):
                session = session_of(request, self._session)
                joined = Joined(
                    session,
                    manager_of(request),
                    lambda: None,
                    self._refuse,
                    lambda connection: None,
                    time.monotonic,
                )
                with joined:
                    # zope.sqlalchemy commits no session to which the ORM has not written
                    session.add(self._row(mapping))
        except RolledBack:
            self.joined = True
        except Exception as exc:
            self.failure = exc
        finally:
            if joined is not None:
                joined.leave()
            mapping.dispose()
            transactions.finish()

    def _row(self, mapping: registry) -> Any:
        row_class: Any = type('Row', (), {})
        mapping.map_imperatively(row_class, processes)
        row = row_class()
        row.id, row.host, row.pid, row.lease_until = self._other.id, self._other.host, self._other.pid, 0.0
        return row

    def _refuse(self, connection: Connection, seconds: float) -> None:
        scoped = self._database.scoped(connection)
        require_same_database(scoped, self._session, self._process.id)
        scoped.execute(scoped.update(processes).where(processes.c.id == self._process.id).values(lease_until=0.0))
        raise RolledBack
