"""Places for processes on one machine: locks of files, which the kernel releases when the processes end."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from pyramid_cron.errors import CronError


class NoPlaces(CronError):
    """The folder of the locks cannot be used."""


class Places:
    """So many places, for the processes of one account on one machine.

    A place is the lock of a file. A process that inherits its descriptor keeps the place until it ends, however that
    happens, and until the processes end that inherit it in turn.

    :param number: how many places there are.
    :param group: identifies what shares them.
    :param folder: the folder of the files, by default one of the account among those for temporary files.
    """

    def __init__(self, number: int, group: str, folder: Path | None = None) -> None:
        self.number = number
        self._prefix = hashlib.sha256(group.encode()).hexdigest()[:16]
        self._folder = folder or Path(tempfile.gettempdir(), f'pyramid_cron-{os.geteuid()}')

    def take(self) -> int | None:
        """Take a place, and return its descriptor; ``None`` if all are taken.

        :raises NoPlaces: if the folder belongs to another account, or cannot be written.
        """
        self._prepare()
        for number in range(self.number):
            try:
                place = os.open(self._folder / f'{self._prefix}-{number}', os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as exc:
                raise NoPlaces(f'no file can be locked in {self._folder}: {exc.strerror}') from exc
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(place)
            else:
                # or else it would be cleaned up among the temporary files
                os.utime(place)
                return place
        return None

    def _prepare(self) -> None:
        """Make the folder, unless it is there and safe."""
        with suppress(FileExistsError):
            try:
                self._folder.mkdir(mode=0o700)
            except FileExistsError:
                raise
            except OSError as exc:
                raise NoPlaces(f'{self._folder} cannot be made: {exc.strerror}') from exc
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise NoPlaces(f'{self._folder} is no folder that this account alone may write: remove it, or set TMPDIR')
