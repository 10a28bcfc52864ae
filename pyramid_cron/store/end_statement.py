"""The end of a run in one statement, where the database has one: release, history, and the end of its tick."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.history import values_of_end
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.store.task_claims import RELEASED
from pyramid_cron.store.task_conditions import HOLDS_RUN, THIS_RUN, of_run
from pyramid_cron.store.ticks import finish, of_finish


def end_at_once(
    connection: StoreConnection, task: str, run_id: str, values: dict[str, Any], end: RunEnd, tick: datetime | None
) -> bool:
    """Release the row of a task, record the end of its run in the history, and return whether that was done.

    Nothing is changed if the row does not hold the fencing token, or if another transaction has locked the row of the
    history.

    :param values: the new values of the row of the task, and parameters, as of :meth:`.TaskClaims.release`.
    :param tick: the minute of the tick that has done all of its work with this run, ``None`` if it has not.
    """
    values |= RELEASED
    computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
    plain = {name: value for name, value in values.items() if name in tasks.c and name not in computed}
    ended = values_of_end(**end._asdict())
    statement = _end(tuple(plain), tuple(computed.items()), tuple(ended), tick is not None)
    parameters = of_run(task, run_id) | {f'new_{name}': value for name, value in plain.items()}
    # of the expressions
    parameters |= {name: value for name, value in values.items() if name not in tasks.c}
    parameters |= {f'end_{name}': value for name, value in ended.items()}
    if tick is not None:
        parameters |= of_finish(tick)
    return connection.scalar(statement, parameters) is not None


# bounded: an expression that is not one object for all calls would fill it
@lru_cache(100)
def _end(plain: tuple[str, ...], computed: tuple[tuple[str, Any], ...], of_end: tuple[str, ...], finishes: bool) -> Any:
    record = StoreConnection.select(runs, runs.c.id).where(runs.c.id == THIS_RUN)
    locked = record.with_for_update(skip_locked=True).cte('locked')
    is_unlocked = or_(locked.select().exists(), ~record.exists())
    new = {name: bindparam(f'new_{name}', type_=tasks.c[name].type) for name in plain}
    released = (
        StoreConnection.update(tasks)
        .where(HOLDS_RUN, is_unlocked)
        .values(**new, **dict(computed))
        .returning(tasks.c.app, tasks.c.task)
        .cte('released')
    )
    is_released = released.select().exists()
    ended = (
        StoreConnection.update(runs)
        .where(runs.c.id == THIS_RUN, is_released)
        .values({name: bindparam(f'end_{name}', type_=runs.c[name].type) for name in of_end})
        .cte('ended')
    )
    others = [ended, *([finish(is_done=True).where(is_released).cte('finished')] if finishes else [])]
    return StoreConnection.select(released, released.c.task).add_cte(*others)
