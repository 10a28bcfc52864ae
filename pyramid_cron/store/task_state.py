"""The row of a task as a typed value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pyramid_cron.claims import Pause
from pyramid_cron.reports import MISSED, QUEUED, RUNNING, STUCK

# stored as the end of a pause without an end
FOR_EVER = datetime(9999, 1, 1, tzinfo=timezone.utc)

# how long after a task was last seen its row is still looked at, by the minutes of ticks; and how often it is seen
UNREGISTERED_AFTER, SEEN_INTERVAL = timedelta(hours=1), timedelta(minutes=20)

# why a minute is to run once more, beside reports.FAILED and reports.LOST: it could not be enqueued
UNSENT = 'unsent'


@dataclass(frozen=True)
class ProcessState:
    """The process that has claimed a task.

    :param host: the name of its machine, ``None`` as those below if the process is not known any more.
    :param pid: its number there.
    :param boot_and_pidns: the boot and the PID namespace in which ``pid`` is unique, ``None`` where not known.
    :param process_started: when it started, in units of its kernel.
    :param lease_over: whether its lease has expired by the database's clock.
    :param lease_until: when its lease expires, in seconds by the database's clock.
    """

    host: str | None
    pid: int | None
    boot_and_pidns: str | None
    process_started: str | None
    lease_over: bool
    lease_until: float | None = None


@dataclass(frozen=True)
class TaskState:
    """The row of a task, with the process that has claimed it and its pause. Instants are in UTC.

    :param renamed_from: the last name of the task before this one.
    :param schedule: the schedule that counts since ``schedule_changed_at``, as a text.
    :param previous_schedule: the schedule before that.
    :param first_seen: the task owes no minute up to this one.
    :param last_seen: a recent tick of a process that has it registered; not after each tick.
    :param unregistered_at: the tick that reported, after ``last_seen``, that no process has it registered.
    :param next_due: from this minute on a tick has to look at the row: the first that the task may owe.
    :param last_minute: the newest minute that was claimed or skipped.
    :param busy_until: the minute in which the last run ended: minutes during a run are not owed.
    :param taken_back_from: the minute up to which the task owed none, before that was taken back from the future.
    :param attempt: how many times ``last_minute`` has begun.
    :param retry_reason: why ``last_minute`` is to run once more: ``'failed'``, ``'lost'`` or ``'unsent'``.
    :param run_id: the fencing token of the run in progress, ``None`` if there is none.
    :param started_at: when the last run was claimed, in seconds by the database's clock.
    :param handed_over_for: the minute, or the token of a run by name, that is being or was enqueued, until a worker
        begins it.
    :param transactional: whether the run in progress commits with its record.
    :param last_outcome: the last result: ok, failed, lost or missed.
    :param last_outcome_for: the minute of that result, ``None`` for a run by name.
    :param last_finished: when the last run ended.
    :param last_seconds: how long it took.
    :param last_success_for: the newest minute whose scheduled run succeeded.
    :param last_success_at: when a run last succeeded.
    :param failures_in_a_row: how many runs have failed or were lost since then.
    :param last_error: the class of the exception of the last run, if it failed.
    :param process: the process that has claimed the run, ``None`` while an engine has it.
    :param pause: the pause of the task, which may be over.
    """

    task: str
    schedule: str
    first_seen: datetime
    last_seen: datetime | None = None
    unregistered_at: datetime | None = None
    renamed_from: str | None = None
    next_due: datetime | None = None
    previous_schedule: str | None = None
    schedule_changed_at: datetime | None = None
    last_minute: datetime | None = None
    busy_until: datetime | None = None
    taken_back_from: datetime | None = None
    attempt: int = 0
    retry_reason: str | None = None
    run_id: str | None = None
    started_at: float | None = None
    handed_over_for: str | None = None
    transactional: bool = False
    last_outcome: str | None = None
    last_outcome_for: datetime | None = None
    last_finished: datetime | None = None
    last_seconds: float | None = None
    last_success_for: datetime | None = None
    last_success_at: datetime | None = None
    failures_in_a_row: int | None = None
    last_error: str | None = None
    process: ProcessState | None = None
    pause: Pause | None = None

    @property
    def is_claimed(self) -> bool:
        """Whether a run is in progress, is being enqueued or waits for a worker."""
        return self.run_id is not None

    @property
    def is_enqueued(self) -> bool:
        """Whether a run waits for a worker and no process has it."""
        return self.handed_over_for is not None and self.process is None

    def running_seconds(self, now: float) -> float | None:
        """Return how long a process has been running the task, ``None`` if none is or the run waits for a worker.

        :param now: the time by the database's clock.
        """
        if self.started_at is None or not self.is_claimed or self.handed_over_for is not None:
            return None
        return max(now - self.started_at, 0.0)

    def owes_from(self, minute: datetime) -> bool:
        """Return whether a tick for a minute has to look at the row."""
        return self.next_due is None or self.next_due <= minute

    def is_unregistered(self, before: datetime | None) -> bool:
        """Return whether ticks came for an hour of processes that do not have the task registered, and none runs it.

        :param before: the newest minute that had a tick before the last one.
        """
        if before is None or self.last_seen is None or self.is_claimed:
            return False
        return before - self.last_seen > UNREGISTERED_AFTER

    @property
    def is_reported(self) -> bool:
        """Whether it was reported that no process has the task registered since it was last seen."""
        return self.unregistered_at is not None and (self.last_seen is None or self.unregistered_at > self.last_seen)

    def is_stale(self, minute: datetime, future: datetime) -> bool:
        """Return whether it was recorded long ago, or in the future, that a process has the task registered."""
        return self.last_seen is None or minute - self.last_seen >= SEEN_INTERVAL / 2 or self.last_seen >= future

    def has_begun(self, minute: datetime) -> bool:
        """Return whether the task was claimed or skipped for a minute, or for a later one."""
        return self.last_minute is not None and self.last_minute >= minute

    @property
    def newest(self) -> datetime:
        """The newest instant by which it is decided whether the task runs, or whether the run in progress is stuck."""
        began = self.started if self.is_claimed else None
        known = (self.first_seen, self.last_seen, self.last_minute, self.busy_until, self.schedule_changed_at, began)
        return max(instant for instant in known if instant is not None)

    @property
    def started(self) -> datetime | None:
        """When the run in progress was claimed, by the database's clock; that of the last run while none is."""
        return None if self.started_at is None else datetime.fromtimestamp(self.started_at, timezone.utc)

    @property
    def last_at(self) -> datetime | None:
        """When the last result was: the minute that was missed, or the end of the last run."""
        return self.last_outcome_for if self.last_outcome == MISSED else self.last_finished

    def in_progress(self, stuck: bool) -> str | None:
        """Return what the claimed run is doing, in one word; ``None`` if there is none.

        :param stuck: whether it has been running for too long.
        """
        if not self.is_claimed:
            return None
        return QUEUED if self.handed_over_for is not None else STUCK if stuck else RUNNING

    @property
    def paused_until(self) -> datetime | None:
        """The end of the pause, which may be over; minutes before it are skipped."""
        return None if self.pause is None else self.pause.until or FOR_EVER

    def is_paused(self, instant: datetime) -> bool:
        """Return whether the task is paused at an instant."""
        return self.paused_until is not None and instant < self.paused_until
