"""The message that carries a run to an engine: the same for all engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyramid_cron.claims import Run
from pyramid_cron.queue_engine import MessageState
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules import clock


class Handover(NamedTuple):
    """A run that is enqueued: the argument of the callable that ``via`` names.

    :param key: the key of the run, which :func:`pyramid_cron.perform` and ``pcron perform`` take:
        ``'shop:invoices@2026-11-24T02:00Z'``. A run that is enqueued a second time has the same key. The key of a run
        that was requested by name, or for a past minute, ends in 32 hexadecimal digits in place of a minute.
    :param task: the name of the task.
    :param scheduled_for: the minute that the run is for, aware and in the time zone of the task; for a run by name or
        for a past minute, the minute in which it is enqueued. The task itself receives the past minute.
    :param expires: the instant after which the run does not begin any more, aware.
    :param config_uri: the setting ``cron.config_uri``.
    """

    key: str
    task: str
    scheduled_for: datetime
    expires: datetime
    config_uri: str | None

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that executes the run: ``pcron perform CONFIG_URI KEY``.

        :raises LookupError: if ``cron.config_uri`` is not set.
        """
        if self.config_uri is None:
            raise LookupError('the command needs the configuration file: set cron.config_uri = %(__file__)s')
        return 'pcron', 'perform', self.config_uri, self.key


@dataclass(frozen=True)
class EngineAdapter:
    """An engine of an application's tasks: makes a :class:`Handover` of each run and passes it to a callable.

    It is what ``Task.engine`` holds, see :class:`pyramid_cron.queue_engine.Engine`.
    """

    #: takes a :class:`Handover`, or a list of them and a connection if it enqueues within the claim; whatever it raises
    #: makes the run a failed one
    call: Callable[..., object]
    #: the name of the engine in logs and on pages
    name: str
    #: the name of the application in keys
    app: str
    #: the setting ``cron.catch_up``
    catch_up: timedelta
    #: the setting ``cron.config_uri``
    config_uri: str | None
    #: whether runs are enqueued on the connection of their claim
    within_claim: bool
    #: what receives its runs: see :class:`pyramid_cron.queue_engine.Engine`
    broker: object
    #: takes keys and a connection of the store, and returns what is known of the messages of runs that no worker has
    #: begun, by their keys; ``None`` if the engine knows nothing
    look: Callable[[Sequence[str], Any], Mapping[str, MessageState]] | None = None
    #: see :meth:`admit`; ``None`` for an engine that takes any number of runs
    admit_run: Callable[[], AbstractContextManager[str | None]] | None = None

    def __str__(self) -> str:
        return self.name

    def key(self, run: Run) -> str:
        """Return the key of a run."""
        return write_key(self.app, run.task.name, run.minute, run.token)

    @property
    def is_limited(self) -> bool:
        """Whether the engine takes so many runs at once only."""
        return self.admit_run is not None

    def admit(self) -> AbstractContextManager[str | None]:
        """Admit a run, see :class:`pyramid_cron.queue_engine.Engine`."""
        return nullcontext() if self.admit_run is None else self.admit_run()

    def enqueue(self, run: Run) -> None:
        """Pass a run to the callable."""
        self.call(self._handover(run))

    def enqueue_all(self, runs: Sequence[Run], connection: Any) -> None:
        """Pass runs to the callables of their engines, those of one engine together."""
        # a callable need not be hashable
        by_engine: dict[int, tuple[Any, list[Handover]]] = {}
        for run in runs:
            by_engine.setdefault(id(run.engine), (run.engine, []))[1].append(self._handover(run))
        for engine, handovers in by_engine.values():
            engine.call(handovers, connection)

    def message_states(self, runs: Sequence[Run], connection: Any) -> dict[str | None, MessageState]:
        """See :meth:`pyramid_cron.queue_engine.Engine.message_states`."""
        if self.look is None:
            return {}
        keys = {write_key(self.app, run.task.name, run.minute, run.token): run.token for run in runs}
        return {keys[key]: state for key, state in self.look(list(keys), connection).items()}

    def _handover(self, run: Run) -> Handover:
        task, minute = run.task, run.minute or clock.current_minute()
        return Handover(
            self.key(run),
            task.name,
            task.scheduled_for(minute),
            # the minute of a further attempt may be long past
            (minute if run.attempt == 1 else max(minute, clock.current_minute())) + task.queue_timeout(self.catch_up),
            self.config_uri,
        )
