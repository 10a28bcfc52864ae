"""The file of an SQLite database: its path."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from pyramid_cron.store.sqlite_file import is_in_memory, sqlite_file


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('sqlite:////var/cron.sqlite', '/var/cron.sqlite'),
        ('sqlite:///cron.sqlite', 'cron.sqlite'),
        ('sqlite:///file:/var/cron.sqlite?mode=ro&uri=true', '/var/cron.sqlite'),
        ('sqlite:///file:///var/cron%2520x.sqlite?uri=true', '/var/cron x.sqlite'),
        ('sqlite:///file://localhost/var/cron.sqlite?uri=true', '/var/cron.sqlite'),
        ('sqlite:///file:cron.sqlite?uri=true', 'cron.sqlite'),
        ('sqlite:///file:/var/cron.sqlite', 'file:/var/cron.sqlite'),
        ('sqlite://', None),
        ('sqlite:///file:cron?mode=memory&uri=true', None),
        ('postgresql+psycopg://host/name', None),
    ],
)
def test_a_database_of_sqlite_has_a_file(url, name):
    assert sqlite_file(make_url(url)) == (None if name is None else Path(name))


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('sqlite://', True),
        ('sqlite:///:memory:', True),
        ('sqlite:///file:cron?mode=memory&uri=true', True),
        ('sqlite:////var/cron.sqlite', False),
        ('postgresql+psycopg://host', False),
    ],
)
def test_a_database_in_memory_is_recognized(url, expected):
    assert is_in_memory(make_url(url)) is expected
