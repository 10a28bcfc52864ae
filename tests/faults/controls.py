"""Controls: each takes out one protection, in the process of a server, and has to be found."""

from datetime import timedelta

from sqlalchemy import false

from pyramid_cron.monitoring import problems
from pyramid_cron.store import (
    acquire,
    missed,
    poll,
    schedule_text,
    storable,
    task_rows,
    tick_statement,
    ticks,
    wrong_clock,
)
from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.reap import Reaper
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.ticks import Ticks


def counted_first():
    """Count a tick before its work, and record no problem."""
    Ticks.finish = lambda ticks, minute, problem: None
    FailedTicks.reason = lambda failed, first, last, ahead=True: None
    problems.LONGEST_TICK = timedelta(days=1)


def locked_is_run():
    """Take a row that is locked for one that has run."""

    def change(row, condition, known, **values):
        if row._connection.skips_locked:
            query = row._connection.select(tasks, tasks.c.task).where(condition)
            if row._connection.scalar(query.with_for_update(skip_locked=True), known) is None:
                return False
        return row.change(condition, known, **values)

    CompareAndSet.change_unlocked = change


def owed_unseen():
    """Look at the tasks that are due, and not at next_due."""
    task_rows.may_owe = ticks.may_owe = tick_statement.may_owe = false


def errors_pass():
    """Let the error of one row end the tick, such as that of a zone that the system does not have any more."""
    read_schedule = schedule_text.read_schedule

    def read(text):
        schedule = read_schedule(text)
        if schedule is None:
            raise ValueError(text)
        return schedule

    def raise_it(name, exc):
        raise exc

    schedule_text.read_schedule = read
    poll._not_claimed = raise_it


def failed_forgotten():
    """Do not keep in memory why a tick failed."""
    FailedTicks.reason = lambda failed, first, last, ahead=True: None


def silence_unnoticed():
    """Do not notice that no tick comes."""
    problems.LONGEST_SILENCE = timedelta(days=1)


def missed_unrecorded():
    """Skip minutes without a record."""
    for module in (acquire, missed):
        module.skipped_minutes = lambda *arguments: ()


def dead_unreaped():
    """Leave the runs of dead processes."""
    Reaper.reap = lambda reaper, state, task, instant, now: (state, None)


def any_minute():
    """Believe each clock."""
    poll.MOST_AHEAD = wrong_clock.MOST_AHEAD = 10**10


def texts_unchanged():
    """Store texts as they are, in full detail or not at all."""
    storable.storable = lambda text: text
    RunEnd.smaller = lambda end: None


CONTROLS = {
    function.__name__: function
    for function in (
        counted_first,
        locked_is_run,
        owed_unseen,
        errors_pass,
        failed_forgotten,
        silence_unnoticed,
        missed_unrecorded,
        dead_unreaped,
        any_minute,
        texts_unchanged,
    )
}
