"""The row of a task as a typed value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from pyramid_cron.alarm import Acknowledged, Failing
from pyramid_cron.claims import Pause
from pyramid_cron.expected import Limits, lengths_of, limits_of, longest_of
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, QUEUED, RUNNING, STUCK
from pyramid_cron.progress import Progress
from pyramid_cron.retry_waits import first_minute_after
from pyramid_cron.schedules.clock import MINUTE, minute_of
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.acknowledgement_columns import failure_key, read_acknowledged
from pyramid_cron.store.live_progress import read_progress
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.pause_times import in_force_at, last_end, skips
from pyramid_cron.store.stop_requests import read_stops
from pyramid_cron.usual_length import UsualLength, usual_length

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

# how long after a task was last seen its row is still looked at, by the minutes of ticks; and how often it is seen
UNREGISTERED_AFTER, SEEN_INTERVAL = timedelta(hours=1), timedelta(minutes=20)

# why a minute is to run once more, beside outcomes.FAILED and outcomes.LOST: it could not be enqueued
UNSENT = 'unsent'

# the last results that are bad
BAD = (FAILED, LOST, MISSED)


@dataclass(frozen=True)
class TaskState:
    """The row of a task, with the process that has claimed it and its pause. Instants are in UTC.

    :param renamed_from: the last name of the task before this one.
    :param callable: the dotted path of its function, ``None`` if no process of this version has had it registered.
    :param schedule: the schedule that counts since ``schedule_changed_at``, as a text.
    :param previous_schedule: the schedule before that.
    :param previous_schedule_from: from which minute on that one counted, ``None`` if that is not known.
    :param first_seen: the task owes no minute up to this one.
    :param last_seen: a recent tick of a process that has it registered; not after each tick.
    :param unregistered_at: the tick that reported, after ``last_seen``, that no process has it registered.
    :param next_due: from this minute on a tick has to look at the row: the first that the task may owe.
    :param last_minute: the newest minute that was claimed or skipped.
    :param busy_until: the minute in which the last run ended: minutes during a run are not owed.
    :param taken_back_from: the minute up to which the task owed none, before that was taken back from the future.
    :param attempt: how many times ``last_minute`` has begun.
    :param will_retry: whether the last run, which has failed or was lost, is tried again.
    :param failed_runs: how many runs in a row have failed, were lost or missed, attempts of one run counted once; that
        number stays after a success until ``failed_since`` is removed.
    :param failed_since: since when, in seconds by the database's clock.
    :param retry_reason: why ``last_minute`` is to run once more: ``'failed'``, ``'lost'`` or ``'unsent'``.
    :param waited_minute: the newest tick at which it was to run, and waited because its engine had no room for it.
    :param retry_wait: the seconds after ``busy_until`` before which a run that has failed does not run once more;
        ``None`` for the next tick.
    :param run_id: the fencing token of the run in progress, ``None`` if there is none.
    :param started_at: when the last run was claimed, in seconds by the database's clock.
    :param handed_over_for: the minute, or the token of a run by name, that is being or was enqueued, until a worker
        begins it.
    :param sent_again_at: when a queued run was last enqueued again, in seconds by the database's clock.
    :param not_begun: the token of a queued run, and why a worker that took its message did not begin it.
    :param transactional: whether the run in progress commits with its record.
    :param stop_requested_by: the user that stopped the last run, if its outcome is stopped.
    :param last_outcome: the last result: ok, failed, lost, missed, stopped or, of a task that raised :exc:`.Skip`,
        skipped.
    :param last_outcome_for: the minute of that result, ``None`` for a run by name.
    :param last_finished: when the last run ended.
    :param last_seconds: how long it took.
    :param last_success_for: the newest minute of a scheduled run that succeeded.
    :param last_success_at: when a run last succeeded.
    :param failures_in_a_row: how many attempts have failed or were lost since then; see :attr:`bad_runs` for runs.
    :param last_error: the class of the exception of the last run, if it failed.
    :param last_message: the first line of the message of that exception.
    :param good_seconds: how long its last good runs took, see :func:`.with_good_run`.
    :param acknowledged_for: the failure that is acknowledged, see :func:`.failure_key`.
    :param acknowledged: by which user, since when, and why, in JSON.
    :param process: the process that has claimed the run, ``None`` while an engine has it.
    :param pause: the pause of the task by itself, which may be over.
    :param pause_of_all: the pause of all tasks, which may be over.
    :param paused_from: when the pause of the task began, ``None`` if that is not known.
    :param all_paused_from: when that of all tasks began.
    :param other_names: further names of a task that a deploy renames, which its row or records of its runs may have.
    """

    task: str
    schedule: str
    first_seen: datetime
    last_seen: datetime | None = None
    unregistered_at: datetime | None = None
    renamed_from: str | None = None
    callable: str | None = None
    next_due: datetime | None = None
    previous_schedule: str | None = None
    schedule_changed_at: datetime | None = None
    previous_schedule_from: datetime | None = None
    last_minute: datetime | None = None
    busy_until: datetime | None = None
    taken_back_from: datetime | None = None
    attempt: int = 0
    will_retry: bool | None = None
    failed_runs: int | None = None
    failed_since: float | None = None
    retry_reason: str | None = None
    waited_minute: datetime | None = None
    retry_wait: float | None = None
    run_id: str | None = None
    started_at: float | None = None
    handed_over_for: str | None = None
    sent_again_at: float | None = None
    not_begun: str | None = None
    transactional: bool = False
    stop_requested_by: str | None = None
    last_outcome: str | None = None
    last_outcome_for: datetime | None = None
    last_finished: datetime | None = None
    last_seconds: float | None = None
    last_success_for: datetime | None = None
    last_success_at: datetime | None = None
    failures_in_a_row: int | None = None
    last_error: str | None = None
    last_message: str | None = None
    good_seconds: str | None = None
    acknowledged_for: str | None = None
    acknowledged: str | None = None
    process: ProcessState | None = None
    pause: Pause | None = None
    pause_of_all: Pause | None = None
    paused_from: datetime | None = None
    all_paused_from: datetime | None = None
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names that its row and the records of its runs may have; first the one that this process knows."""
        return [self.task, *self.other_names]

    @property
    def is_claimed(self) -> bool:
        """Whether a run is in progress, is being enqueued or waits for a worker."""
        return self.run_id is not None

    @property
    def retry_at(self) -> datetime | None:
        """The minute of the first tick that may repeat a run that has failed, ``None`` if none is to be repeated."""
        if self.retry_reason != FAILED or self.busy_until is None or self.is_claimed:
            return None
        return first_minute_after(self.busy_until, timedelta(seconds=self.retry_wait or 0))

    def owed_after(self, each: bool) -> datetime:
        """Return the newest minute that the task does not owe any more.

        :param each: whether it runs for each minute that it missed: then it owes those of its last run.
        """
        known = (self.first_seen, self.last_minute, None if each else self.busy_until)
        return max(minute for minute in known if minute is not None)

    def has_waited(self, minute: datetime) -> bool:
        """Return whether the run for a minute has waited for room in its engine."""
        return self.waited_minute is not None and self.waited_minute >= minute

    @property
    def waits_since(self) -> datetime | None:
        """The minute of the run that waits for room in its engine, ``None`` if none does."""
        waited = self.waited_minute
        if waited is None or self.is_claimed:
            return None
        if self.next_due is not None and self.next_due <= waited:
            return self.next_due
        # an attempt is over once a later minute than that of its wait is busy
        is_retry = self.retry_reason is not None and (self.busy_until is None or self.busy_until < waited)
        return self.last_minute if is_retry else None

    @property
    def is_enqueued(self) -> bool:
        """Whether a run waits for a worker and no process has it."""
        return self.handed_over_for is not None and self.process is None

    def queued_seconds(self, now: float) -> float | None:
        """Return how long a run has been waiting for a worker, ``None`` if none is.

        :param now: the time by the database's clock.
        """
        if not self.is_enqueued or self.started_at is None:
            return None
        return max(now - self.started_at, 0.0)

    def patience(self, timeout: timedelta) -> timedelta:
        """Return how long after it was enqueued a worker may begin the queued run: a minute, if no longer.

        :param timeout: how long after its minute an enqueued run may begin, or a further attempt after it was enqueued.
        """
        started, minute = self.started, self.last_minute
        if started is None or minute is None or self.attempt > 1 or self.handed_over_for == self.run_id:
            return timeout
        if self.has_waited(minute):
            # its time begins when its engine has room
            return timeout
        # less if the run was caught up: for longer no worker takes it
        return min(timeout, max(timeout - (started - minute), MINUTE))

    @property
    def worker_failure(self) -> str | None:
        """Why a worker that took the message of the queued run did not begin it, ``None`` if none is known."""
        run_id, _, reason = (self.not_begun or '').partition(' ')
        return reason if self.is_enqueued and run_id == self.run_id else None

    @property
    def stop_request(self) -> StopRequest | None:
        """The request that the run in progress ends, ``None`` if there is none."""
        return None if self.process is None or self.run_id is None else read_stops(self.process.stops).get(self.run_id)

    @property
    def progress(self) -> Progress | None:
        """The progress of the run in progress, as of the last heartbeat of its process; ``None`` if it reports none."""
        if self.process is None or self.run_id is None:
            return None
        return read_progress(self.process.progress).get(self.run_id)

    def running_seconds(self, now: float) -> float | None:
        """Return how long a process has been running the task, ``None`` if none is or the run waits for a worker.

        :param now: the time by the database's clock.
        """
        if self.started_at is None or not self.is_claimed or self.handed_over_for is not None:
            return None
        return max(now - self.started_at, 0.0)

    @property
    def usual(self) -> UsualLength | None:
        """How long its last good runs took, ``None`` if that is not known."""
        lengths = lengths_of(self.good_seconds)
        if not lengths and self.last_outcome == OK and self.last_seconds is not None:
            # of a run by hand
            lengths = [self.last_seconds]
        return usual_length(lengths)

    def is_slower_than_usual(self, now: float) -> bool:
        """Return whether the run in progress, or else the last good one, takes or took longer than usual.

        :param now: the time by the database's clock.
        """
        usual, seconds = self._compared(now)
        return usual is not None and usual.is_exceeded_by(seconds)

    def compare(self, now: float) -> str:
        """Return how long runs usually take beside a run in progress, and that a run was slower; empty otherwise.

        :param now: the time by the database's clock.
        """
        usual, seconds = self._compared(now)
        if usual is None or not (self.is_claimed or usual.is_exceeded_by(seconds)):
            return ''
        return usual.compare(seconds)

    def _compared(self, now: float) -> tuple[UsualLength | None, float]:
        """Return the length of the run in progress, or else of the last good one, and the usual length before it."""
        running = self.running_seconds(now)
        if running is not None:
            return self.usual, running
        if self.is_claimed or self.last_outcome != OK or self.last_seconds is None:
            return None, 0.0
        # it is the last of them
        return usual_length(lengths_of(self.good_seconds)[:-1]), self.last_seconds

    def limits(self, task: Task, window: float) -> Limits:
        """Return when the run in progress is slow, and stuck.

        :param window: the setting ``cron.window``.
        """
        return limits_of(task, longest_of(self.good_seconds), self.started or self.first_seen, window)

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
    def may_have_run_on_request(self) -> bool:
        """Whether the last run may have been one by name or a backfill. The task owes the minutes of such a run."""
        return self.started is not None and (self.busy_until is None or self.busy_until < minute_of(self.started))

    @property
    def last_at(self) -> datetime | None:
        """When the last result was: the minute that was missed, or the end of the last run."""
        return self.last_outcome_for if self.last_outcome == MISSED else self.last_finished

    @property
    def failing_since(self) -> datetime | None:
        """Since when the task has failed, by the database's clock; ``None`` if its last result is good."""
        if not self.is_bad or self.failed_since is None:
            return None
        return datetime.fromtimestamp(self.failed_since, timezone.utc)

    @property
    def is_bad(self) -> bool:
        """Whether the last result is that a run has failed, was lost or missed."""
        return self.last_outcome in BAD

    @property
    def bad_runs(self) -> int:
        """How many runs in a row have failed, were lost or missed up to the last result, 0 if that is good.

        The attempts of a run count once, as for ``tolerate=``.
        """
        return self._counted.runs if self.is_bad else 0

    def failing(self, now: datetime) -> Failing:
        """Return the failures up to the last result, which is one.

        A server of a version that does not count runs counts attempts.
        """
        return self._counted._replace(acknowledged=self.acknowledgement is not None, paused=self.is_paused(now))

    def has_alarmed(self, tolerate: int) -> bool:
        """Return whether the failures that the row counts were an alarm, whatever a user excuses.

        The row counts them until the success after them is reported.

        :param tolerate: how many runs in a row may fail: the argument ``tolerate`` of the task.
        """
        return self._counted.has_alarmed(tolerate)

    def failing_again(self, attempt: int, will_retry: bool, error: str | None = None) -> Failing:
        """Return the failures after one more attempt has failed.

        :param attempt: the number of that attempt for its minute.
        :param error: the class of its exception.
        """
        # as of_failure() in last_result.py counts them
        before = 0 if self.last_outcome == OK else self._runs
        acknowledged = self.last_outcome != OK and self.acknowledged_for == failure_key(FAILED, error)
        return Failing(before + 1 if attempt <= 1 else max(before, 1), will_retry, acknowledged)

    @property
    def acknowledgement(self) -> Acknowledged | None:
        """The acknowledgement of the last result; ``None`` if that is good, another failure or not acknowledged."""
        if not self.is_bad or self.acknowledged_for != failure_key(self.last_outcome, self.last_error):
            return None
        return read_acknowledged(self.acknowledged)

    @property
    def _counted(self) -> Failing:
        return Failing(max(self._runs, 1), bool(self.will_retry))

    @property
    def _runs(self) -> int:
        return (self.failures_in_a_row if self.failed_runs is None else self.failed_runs) or 0

    def in_progress(self, stuck: bool) -> str | None:
        """Return what the claimed run is doing, in one word; ``None`` if there is none.

        :param stuck: whether it has been running for too long.
        """
        if not self.is_claimed:
            return None
        return QUEUED if self.handed_over_for is not None else STUCK if stuck else RUNNING

    @property
    def paused_until(self) -> datetime | None:
        """The end of the pauses, which may be over; minutes before it are skipped."""
        return last_end(self.pause, self.pause_of_all)

    def pauses_at(self, instant: datetime) -> list[Pause]:
        """Return the pauses that hold for an instant, that first which ends last: until then the task does not run."""
        # of two that end together that of the task itself
        return in_force_at(instant, self.pause, self.pause_of_all)

    def is_paused_for(self, minute: datetime) -> bool:
        """Return whether the task does not run for a minute because of a pause."""
        return skips(self.pause, self.paused_from, minute) or skips(self.pause_of_all, self.all_paused_from, minute)

    @property
    def was_paused_last(self) -> bool:
        """Whether it did not run for the newest decided minute, because of a pause that still has its row."""
        minute, result = self.last_minute, self.last_outcome_for or self.last_finished
        if minute is None or self.is_claimed or (result is not None and result >= minute):
            return False
        return self.is_paused_for(minute)

    def is_paused(self, instant: datetime) -> bool:
        """Return whether the task is paused at an instant."""
        return self.paused_until is not None and instant < self.paused_until
