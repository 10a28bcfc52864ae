"""Differences between the tables of a database and those of ``schema.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Float, Inspector, Integer, Numeric, String, Table, TypeDecorator

from pyramid_cron.store.dialects import collation_of
from pyramid_cron.store.schema import wants_index

# databases name types differently; some have no type of their own for BOOLEAN
KINDS: list[tuple[str, tuple[type, ...]]] = [
    ('an integer', (Boolean, Integer)),
    ('a number', (Numeric, Float)),
    ('a date and time', (DateTime,)),
    ('a text', (String,)),
]


def differences(inspector: Inspector, table: Table, dialect: Any) -> Iterator[str]:
    """Yield how a table of the database differs from what it should be, in a few words each."""
    if not inspector.has_table(table.name):
        yield f'no table {table.name}'
        return
    there = {column['name']: column for column in inspector.get_columns(table.name)}
    for column in table.columns:
        found = there.get(column.name)
        if found is None:
            yield f'no column {table.name}.{column.name}'
        elif not _is_alike(column, found['type']):
            yield f'type of {table.name}.{column.name} is {found["type"]}, not {column.type.compile(dialect=dialect)}'
    key = inspector.get_pk_constraint(table.name)['constrained_columns']
    wanted = [column.name for column in table.primary_key.columns]
    if sorted(key) != sorted(wanted):
        yield f'key of {table.name} is ({", ".join(key)}), not ({", ".join(wanted)})'
    indexes = {index['name']: index['column_names'] for index in inspector.get_indexes(table.name)}
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        columns = [column.name for column in index.columns]
        if wants_index(index, dialect.name) and indexes.get(index.name) != columns:
            yield f'no index {index.name} on {table.name} ({", ".join(columns)})'
    collations = wrong_collations(inspector, table, dialect)
    if collations:
        yield f'collation of {table.name} is {", ".join(collations)}, not {collation_of(dialect)}'


def wrong_collations(inspector: Inspector, table: Table, dialect: Any) -> list[str]:
    """Return the collations of a table and its columns that compare names otherwise than by their bytes."""
    wanted = collation_of(dialect)
    if wanted is None:
        return []
    # a database can leave out the default of a character set, and that of a table where a column has the same
    of_table = inspector.get_table_options(table.name).get(f'{dialect.name}_collate', 'the default')
    types = [column['type'] for column in inspector.get_columns(table.name)]
    of_columns = {type_.collation or of_table for type_ in types if isinstance(type_, String)}
    return sorted({of_table, *of_columns} - {wanted})


def _is_alike(column: Column[Any], found: Any) -> bool:
    """Return whether a type of the database takes the values of a column."""
    wanted: Any = column.type
    if isinstance(wanted, TypeDecorator):
        wanted = wanted.impl_instance
    if _kind(wanted) != _kind(found):
        return False
    shortest, longest = getattr(wanted, 'length', None), getattr(found, 'length', None)
    return shortest is None or longest is None or bool(shortest <= longest)


def _kind(type_: Any) -> str:
    return next((kind for kind, classes in KINDS if isinstance(type_, classes)), str(type_))
