"""The file of an SQLite database: its path, and whether another file took its place while it was open."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pyramid.settings import asbool
from sqlalchemy import URL

WRITE_AHEAD_LOG = '-wal'
SIDE_FILES = (WRITE_AHEAD_LOG, '-shm')
# seconds between two looks at them
SIDE_FILES_SECONDS = 1.0

# device and inode, which a file keeps as long as it is open
Identity = tuple[int, int]


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


def identity(path: str | Path) -> Identity | None:
    """Return what identifies a file apart from its path, ``None`` if there is none that can be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class OpenFile:
    """The file of a database that this process has open.

    SQLite goes on reading and writing a file that was replaced or removed. A process that opens its successor under the
    same path finds the write-ahead log of the old file there, and applies it to the new one.

    :param path: where it is, through symbolic links.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._monotonic = monotonic
        self._looked_at = -math.inf
        self._identity: Identity | None = None
        self._real_path = ''
        self._side_files: dict[str, Identity | None] = {}

    def opened(self, *connection: object) -> None:
        """Remember which file the first connection has opened."""
        if self._identity is None:
            self._identity = identity(self.path)
            self._real_path = os.path.realpath(self.path)

    def is_replaced(self) -> bool:
        """Return whether there is another file now, or none."""
        if self._identity is None:
            return False
        if identity(self.path) != self._identity:
            return True
        # SQLite makes and removes them at any time, though not with each transaction
        now = self._monotonic()
        if now - self._looked_at >= SIDE_FILES_SECONDS:
            self._looked_at = now
            self._side_files = {suffix: identity(self._real_path + suffix) for suffix in SIDE_FILES}
        return False

    def leave(self) -> str:
        """Forget which file was opened, set aside what SQLite left beside it, and return what happened, for the log."""
        what = 'removed' if identity(self.path) is None else 'replaced'
        text = f'the file {self.path} was {what} while it was open'
        if identity(self._real_path) != self._identity:
            text += ''.join(map(self._set_aside, SIDE_FILES))
        self._identity = None
        self._looked_at = -math.inf
        return text

    def _set_aside(self, suffix: str) -> str:
        """Rename the old write-ahead log, or remove its index, if the new file did not come with one of its own."""
        path = self._real_path + suffix
        known = self._side_files.get(suffix)
        if known is None or identity(path) != known:
            return ''
        # unless another process is faster
        with suppress(FileNotFoundError):
            if suffix == WRITE_AHEAD_LOG:
                os.replace(path, f'{path}.replaced')
                return f', and its last changes are in {path}.replaced'
            os.unlink(path)
        return ''
