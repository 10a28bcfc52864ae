"""The tables that the autogeneration of an application's Alembic leaves alone. Imports nothing of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# of schema.py, and of each version before it: a table that a later version drops stays here
TABLES = frozenset(
    {
        'cron_audit',
        'cron_gaps',
        'cron_pauses',
        'cron_processes',
        'cron_runs',
        'cron_schema',
        'cron_tasks',
        'cron_ticks',
    }
)


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Return ``False`` for a table of the store, in any schema, and ``True`` for anything else.

    For the argument ``include_name`` of Alembic's ``context.configure``. Without it, ``alembic revision
    --autogenerate`` writes a migration that drops the tables of the store.

    :param name: the name of what Alembic found in the database; ``None`` for its default schema.
    :param type_: what it is: ``'schema'``, ``'table'``, ``'column'``, ``'index'`` and so on.
    :param parent_names: the names of its schema and its table.
    """
    return type_ != 'table' or name not in TABLES
