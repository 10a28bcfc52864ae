"""The file of an SQLite database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pyramid.settings import asbool
from sqlalchemy import URL


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a database, ``None`` for another kind of database, and for one in memory."""
    if url.get_backend_name() != 'sqlite' or is_in_memory(url):
        return None
    name = str(url.database)
    if name.startswith('file:') and asbool(url.query.get('uri')):
        name = url2pathname(urlsplit(name).path)
    return Path(name)


def is_in_memory(url: URL) -> bool:
    """Return whether a database of SQLite is in the memory of the process."""
    name = url.database or ':memory:'
    return url.get_backend_name() == 'sqlite' and (':memory:' in name or url.query.get('mode') == 'memory')
