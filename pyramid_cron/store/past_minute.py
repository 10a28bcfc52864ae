"""Why a task does not run for a minute that it does not owe: it has run, or the history knows what became of it."""

from __future__ import annotations

import logging
from datetime import datetime, tzinfo

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import PastRun
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import FAILED, OK, PAUSED, QUEUED, RUNNING, SKIPPED, STOPPED
from pyramid_cron.schedules import clock
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.run import ALREADY_CLAIMED
from pyramid_cron.store.schedule_text import read_schedule
from pyramid_cron.store.task_state import UNSENT, TaskState

# outcomes of which "already run" is true; skipped only of a task that began and raised Skip
HAS_RUN = (OK, FAILED, SKIPPED, RUNNING, QUEUED)


def why_not_again(database: Database, state: TaskState, minute: datetime, zone: tzinfo | None) -> NotClaimed:
    """Return why a task does not run for a minute that it does not owe.

    The history is read only if the row of the task does not have what became of the minute.

    :param zone: the time zone of a time in the reason.
    """
    if state.retry_reason == UNSENT and state.last_minute == minute:
        return _because('it could not be enqueued, and the next tick tries again')
    is_last_result = state.last_outcome_for == minute
    in_progress = state.is_claimed and state.last_minute == minute
    if state.last_outcome in HAS_RUN if is_last_result else in_progress:
        return ALREADY_CLAIMED
    with database.autocommit() as connection:
        past = Queries(connection).became_of(state.task, minute)
    if past:
        newest = past[-1]
        return ALREADY_CLAIMED if newest.attempt and newest.outcome in HAS_RUN else _because(_what_became(newest))
    return _because(why_without_record(state, minute, zone))


def why_without_record(state: TaskState, minute: datetime, zone: tzinfo | None) -> str:
    """Return what the row of a task has about a minute that it does not owe and that the history does not have.

    :param zone: the time zone of a time in the text.
    """
    if state.last_outcome_for == minute:
        return f'it was {state.last_outcome}'
    changed = state.schedule_changed_at
    if changed is not None and minute < changed and _was_not_due(state, minute):
        first = clock.to_zone(changed, zone).isoformat(' ', 'minutes')
        return f'it was not due then: the first tick with its present schedule came at {first}'
    if (
        state.last_minute is not None
        and state.busy_until is not None
        and state.last_minute < minute <= state.busy_until
    ):
        return 'the previous run went on until then'
    if minute <= state.first_seen:
        first = clock.to_zone(state.first_seen, zone).isoformat(' ', 'minutes')
        return f'the first tick with the task came after {first}'
    return 'it is too old, and there is no record of it'


def _was_not_due(state: TaskState, minute: datetime) -> bool:
    """Return whether the schedule before the last change counted for a minute, as far as is known, and lacks it."""
    previous, since = read_schedule(state.previous_schedule), state.previous_schedule_from
    if previous is None or since is None or minute < since:
        return False
    schedule, zone = previous
    return not schedule.is_due(clock.wall_minutes(minute, zone))


def why_not_delivered(database: Database, state: TaskState, delivery: Delivery, zone: tzinfo | None) -> NotClaimed:
    """Return why an enqueued run does not begin that the row of its task does not hold any more.

    :param zone: the time zone of a time in the reason.
    """
    if delivery.minute is not None:
        found = why_not_again(database, state, delivery.minute, zone)
    else:
        with database.autocommit() as connection:
            # a run that begins replaces the token by its own
            outcome = History(connection).outcome_of(delivery.token or '')
        why = f'it was {STOPPED}' if outcome == STOPPED else 'no worker began it in time'
        found = ALREADY_CLAIMED if outcome is None else _because(why)
    return found._replace(level=logging.INFO)


def _what_became(run: PastRun) -> str:
    # the reason of a pause begins with the word
    return f'it was {run.reason}' if run.outcome == PAUSED else f'it was {run.outcome}: {run.reason}'


def _because(reason: str) -> NotClaimed:
    # when that happened it was logged
    return NotClaimed(reason, level=logging.DEBUG)
