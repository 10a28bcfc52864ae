"""Wrong clocks: refuses ticks of the future, and corrects what a clock that was ahead has left in the store.

A minute that lies three hours or more after the database's present is taken back. If the clock then jumps past that
minute, it was behind at that time, and not ahead before it: the minute is put forward again.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from pyramid_cron.durations import duration
from pyramid_cron.errors import Unavailable
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK
from pyramid_cron.schedules import clock
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.options import Options
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.store.ticks import Tick, Ticks

log = logging.getLogger(__name__)

# seconds that the minute of a tick may be ahead of the database's clock
MOST_AHEAD = 60
# columns of a task: the minutes up to which it owes none, others that decide, and those that only show what it did
OWED_AFTER = 'first_seen', 'last_minute', 'busy_until'
DECIDING = *OWED_AFTER, 'last_seen', 'schedule_changed_at'
SHOWN = 'last_outcome_for', 'last_finished', 'last_success_for', 'last_success_at'


class WrongClock:
    """Corrects the rows of an application.

    :param database: the database of the store.
    :param options: the settings of the store.
    """

    def __init__(self, database: Database, options: Options) -> None:
        self._database = database
        self._options = options

    def require_present(self, work: TickWork, tick: Tick) -> None:
        """Refuse a tick for a minute that the database's clock has not reached.

        :raises Unavailable: if it is too far ahead.
        """
        ahead = work.minute.timestamp() - tick.clock
        if ahead > MOST_AHEAD:
            work.minute_by_database = clock.minute_of(tick.now)
            raise Unavailable(
                f"the minute {self._options.shown(work.minute)} is {duration(ahead)} ahead of the database's clock: "
                'set the clock of this machine, or that of the database'
            )

    def correct_ticks(self, connection: StoreConnection, tick: Tick) -> bool:
        """Correct the row of the ticks, and return whether it was wrong and the tick has to be recorded anew."""
        if tick.last >= tick.future:
            self._take_back_ticks(connection, tick)
            return True
        if tick.taken_back_from is not None and tick.taken_back_from <= tick.last:
            return self._put_forward_ticks(connection, tick, tick.taken_back_from)
        return False

    def _take_back_ticks(self, connection: StoreConnection, tick: Tick) -> None:
        # the tick of the clock that was ahead has recorded that no tick came since the last one before
        gap = Ticks(connection).false_gap(tick)
        last = (clock.minute_of(tick.now) if gap is None else gap.first) - clock.MINUTE
        if not Ticks(connection).take_back(tick, last):
            return
        if gap is not None:
            Ticks(connection).delete_gap(gap)
            History(connection).take_back(gap.last, tick.now)
            Actions(connection).take_back(gap.last, tick.now)
        log.warning(
            "the last tick is taken back from %s to %s: by the database's clock it was in the future",
            self._options.shown(tick.last),
            self._options.shown(last),
        )

    def _put_forward_ticks(self, connection: StoreConnection, tick: Tick, last: datetime) -> bool:
        if tick.before is not None and tick.last - tick.before < clock.THREE_HOURS:
            # reached minute by minute: the clock had been ahead
            Ticks(connection).put_forward(tick, tick.before)
            RegisteredTasks(connection).forget_taken_back(tick.last)
            return False
        if Ticks(connection).put_forward(tick, last):
            log.warning('the last tick is put forward again to %s: a clock was behind', self._options.shown(last))
        return True

    def correct_task(self, state: TaskState, tick: Tick, is_registered: bool) -> TaskState:
        """Correct the row of a task, and return its state after that. That of a run in progress is left until its end.

        :param is_registered: whether it is registered here; if so, ``last_seen`` is recorded anew without this.
        """
        if state.is_claimed:
            return state
        future = tick.future
        ahead = {name: value for name in (*DECIDING, *SHOWN) if (value := getattr(state, name)) and value >= future}
        if ahead and not (is_registered and ahead.keys() == {'last_seen'}):
            state = self._take_back_task(state, tick, ahead)
        last = state.taken_back_from
        # how it was reached is decided by the row of the ticks
        if last is not None and last <= tick.last and tick.taken_back_from is None:
            return self._put_forward_task(state, last)
        return state

    def _take_back_task(self, state: TaskState, tick: Tick, ahead: dict[str, datetime]) -> TaskState:
        # the last minute that had a tick before, as far as that is known
        minute = tick.before or tick.last
        values: dict[str, Any] = dict.fromkeys(ahead, minute)
        owed_after = [ahead[name] for name in OWED_AFTER if name in ahead]
        if owed_after:
            values['taken_back_from'] = max(owed_after)
        if 'last_minute' in ahead:
            # a minute that has not come is not run once more
            values |= {'retry_reason': None, 'will_retry': False}
        if 'last_outcome_for' in ahead and state.last_outcome == MISSED:
            values |= _result_before(state)
        # the decision about it finds when it is due next
        corrected, left = self._correct(state, **values, next_due=minute)
        if corrected:
            log.warning(
                "task %s: %s taken back from %s to %s: by the database's clock it was in the future%s",
                state.task,
                ', '.join(ahead),
                self._options.shown(max(ahead.values())),
                self._options.shown(minute),
                '; its retry is cancelled' if 'last_minute' in ahead and state.retry_reason else '',
            )
        return left

    def _put_forward_task(self, state: TaskState, last: datetime) -> TaskState:
        minute = last if state.last_minute is None else max(last, state.last_minute)
        corrected, left = self._correct(state, last_minute=minute, taken_back_from=None)
        if corrected and minute != state.last_minute:
            shown = self._options.shown(minute)
            log.warning('task %s: last_minute is put forward again to %s: a clock was behind', state.task, shown)
        return left

    def _correct(self, state: TaskState, **values: Any) -> tuple[bool, TaskState]:
        with self._database.begin() as connection:
            corrected = RegisteredTasks(connection).correct(state, **values)
            return corrected, TaskStates(connection).get(state.task) or state


def _result_before(state: TaskState) -> dict[str, Any]:
    """Return the last result of a task before minutes were recorded as missed that have not come."""
    if state.failures_in_a_row:
        return {'last_outcome': FAILED if state.last_error else LOST, 'last_outcome_for': None}
    return {'last_outcome': state.last_success_at and OK, 'last_outcome_for': state.last_success_for}
