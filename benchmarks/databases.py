"""Databases on a disk, which keep what they have committed: SQLite in a file, and a PostgreSQL of the benchmarks."""

from __future__ import annotations

import atexit
import functools
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from tests.support.postgresql import PostgreSQL, find_postgresql

SHOWN = {'sqlite': 'SQLite', 'postgresql': 'PostgreSQL'}
# as PostgreSQL comes; the servers of the tests have them off
DURABLE = {'fsync': 'on', 'synchronous_commit': 'on', 'full_page_writes': 'on'}
# nothing but the statements of clients waits for the disk, so that each wait can be counted
UNDISTURBED = {
    'autovacuum': 'off',
    'checkpoint_timeout': '1h',
    'wal_writer_delay': '10s',
    'wal_writer_flush_after': '1GB',
}
IN_MEMORY = ('tmpfs', 'ramfs')
ELSEWHERE = '/var/tmp'


def missing() -> str | None:
    """Return why PostgreSQL has no rows, if it has none."""
    return None if find_postgresql() else 'PostgreSQL: not measured, it is not installed'


def use_disk() -> None:
    """Keep databases out of a folder for temporary files that is in memory, where there is another one."""
    if file_system(tempfile.gettempdir()) in IN_MEMORY and os.access(ELSEWHERE, os.W_OK):
        tempfile.tempdir = ELSEWHERE


def file_system(folder: str) -> str:
    """Return the type of the file system that a folder is in, such as ``'ext4'``."""
    device = os.stat(folder).st_dev
    wanted = f'{os.major(device)}:{os.minor(device)}'
    try:
        mounts = Path('/proc/self/mountinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return 'an unknown file system'
    found = [line.partition(' - ')[2].split()[0] for line in mounts if line.split()[2] == wanted]
    return found[0] if found else 'an unknown file system'


def facts() -> list[str]:
    """Return the databases with their versions, what they promise, and the type of their file system."""
    where = file_system(tempfile.gettempdir())
    found = [f'SQLite {sqlite3.sqlite_version} on {where}']
    if not missing():
        with database('postgresql') as url:
            shown = {name: ask(url, f'SHOW {name}') for name in ('server_version', *DURABLE)}
        version = shown.pop('server_version').split()[0]
        settings = ', '.join(f'{name} = {value}' for name, value in shown.items())
        found.insert(0, f'PostgreSQL {version} on {where}, {settings}')
    return found


def ask(url: str, statement: str) -> Any:
    """Return the first value that a statement returns, from a connection of its own."""
    engine = create_engine(url, isolation_level='AUTOCOMMIT')
    try:
        with engine.connect() as connection:
            return connection.scalar(text(statement))
    finally:
        engine.dispose()


@contextmanager
def database(name: str, undisturbed: bool = False) -> Iterator[str]:
    """Make an empty database, yield its URL, and remove it.

    :param name: a key of :data:`SHOWN`.
    :param undisturbed: in a PostgreSQL of its own, in which nothing else waits for the disk.
    """
    if name == 'sqlite':
        with tempfile.TemporaryDirectory(prefix='sqlite-') as folder:
            yield f'sqlite:///{folder}/store.sqlite'
    else:
        with _server(undisturbed).database() as url:
            yield url


@functools.cache
def _server(undisturbed: bool) -> Any:
    server = PostgreSQL(find_postgresql(), DURABLE | (UNDISTURBED if undisturbed else {}))
    atexit.register(server.stop)
    return server
