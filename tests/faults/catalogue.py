"""The faults that each database can have."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from .database_faults import (
    all_tasks_locked,
    database_behind,
    database_frozen,
    database_restarted,
    database_stopped,
    disconnected,
    disk_full,
    file_locked,
    history_emptied,
    history_locked,
    processes_deleted,
    read_only,
    revoked,
    schedule_unreadable,
    statement_refused,
    table_locked,
    task_deleted,
    task_locked,
    ticks_locked,
    value_unreadable,
    zone_unknown,
)
from .process_faults import (
    both_killed,
    disconnected_in_tick,
    frozen,
    frozen_in_tick,
    killed,
    killed_in_tick,
    machine_ahead,
    no_ticks,
    one_ticks,
    server_ahead,
    server_behind,
    task_failing,
    task_paused,
    task_removed,
)

# takes the world and a random.Random
Fault = Callable[..., AbstractContextManager[str | None]]

ANYWHERE = [
    schedule_unreadable,
    zone_unknown,
    value_unreadable,
    task_deleted,
    processes_deleted,
    history_emptied,
    killed,
    killed_in_tick,
    both_killed,
    frozen,
    frozen_in_tick,
    task_failing,
    task_removed,
    task_paused,
    server_behind,
    no_ticks,
    one_ticks,
]
ON_POSTGRESQL = [
    task_locked,
    all_tasks_locked,
    ticks_locked,
    history_locked,
    table_locked,
    revoked,
    disconnected,
    disconnected_in_tick,
    database_stopped,
    database_restarted,
    database_frozen,
    read_only,
    server_ahead,
    database_behind,
    statement_refused,
    disk_full,
]
FAULTS = {'postgresql': ANYWHERE + ON_POSTGRESQL, 'sqlite': [*ANYWHERE, file_locked, machine_ahead]}
# those that may come during another one: they need nothing of the database
DURING = [killed, killed_in_tick, both_killed, frozen, frozen_in_tick, task_failing, server_behind, no_ticks, one_ticks]
