"""The states of jobs in procrastinate before a worker has begun their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyramid_cron.queue_engine import MessageState
from pyramid_cron.queues.worker import TASK_NAME

# of several jobs of a run one that waits, or else the newest
SELECT = """
    SELECT DISTINCT ON (args->>'key') args->>'key', status::text
    FROM procrastinate_jobs
    WHERE task_name = %s AND args->>'key' = ANY(%s)
    ORDER BY args->>'key', status <> 'todo', id DESC
"""
STATES = {
    'todo': MessageState('its job waits for a worker', waits=True),
    # on request, by a person
    'cancelled': MessageState('its job was cancelled in procrastinate', waits=True),
    'aborted': MessageState('its job was aborted in procrastinate', waits=True),
    # of a worker that was killed, or that takes long to load the application
    'doing': MessageState('a worker took its job, and has not begun the run'),
    'failed': MessageState('its job failed before the task; the log of the worker has why', is_failed=True),
}
GONE = MessageState('its job is gone')


def look(keys: Sequence[str], connection: Any) -> Mapping[str, MessageState]:
    """Return what is known of the jobs of runs, by their keys.

    :param connection: a connection of psycopg.
    """
    found = dict(connection.execute(SELECT, [TASK_NAME, list(keys)]).fetchall())
    return {key: STATES.get(found[key], GONE) if key in found else GONE for key in keys}
