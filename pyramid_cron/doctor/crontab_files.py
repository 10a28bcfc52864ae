"""The crontabs that an account can read: its own, ``/etc/crontab`` and ``/etc/cron.d``; all of them as root."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pyramid_cron.doctor.crontab_lines import Crontab, variables_of
from pyramid_cron.printable import message

ROOT = Path('/')
CRONTAB = 'crontab'
SECONDS = 10
# of Debian, which leaves out files with other names
NAME = re.compile('[A-Za-z0-9_-]+')
SPOOLS = ('var/spool/cron/crontabs', 'var/spool/cron')
WRITABLE_BY_OTHERS = 0o022


def read_crontabs(account: str, root: Path = ROOT, command: str = CRONTAB) -> tuple[list[Crontab], list[str]]:
    """Return the crontabs, and the names of those that cannot be read.

    :param account: the account whose own crontab is read.
    :param root: the folder that has ``etc`` and ``var``.
    :param command: the command that prints the account's own crontab with ``-l``.
    """
    found: list[Crontab] = []
    unreadable: list[str] = []

    def read(path: Path, owner: str | None, ignored: str | None = None) -> None:
        try:
            found.append(Crontab(str(path), path.read_text(errors='replace'), owner, ignored))
        except OSError as exc:
            unreadable.append(f'{path} ({message(exc) if exc.strerror is None else exc.strerror})')

    spool = _readable_spool(root)
    if spool:
        for path in spool:
            read(path, path.name)
    else:
        found += _own(account, command)
    if (root / 'etc/crontab').exists():
        read(root / 'etc/crontab', None)
    for path in _files(root / 'etc/cron.d'):
        if not path.name.startswith('.'):
            read(path, None, _reason_to_ignore(path))
    return found, unreadable


def read_environment(root: Path = ROOT) -> dict[str, str]:
    """Return the variables of ``/etc/environment``, which Debian's cron passes to all commands."""
    try:
        text = (root / 'etc/environment').read_text(errors='replace')
    except OSError:
        return {}
    return variables_of(text)


def has_mail(root: Path = ROOT) -> bool:
    """Return whether cron has a program to send its mail with."""
    return (root / 'usr/sbin/sendmail').exists()


def _own(account: str, command: str) -> Iterator[Crontab]:
    try:
        done = subprocess.run([command, '-l'], capture_output=True, text=True, errors='replace', timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        # no cron here, or no right to use it
        return
    if done.returncode == 0:
        yield Crontab(f'the crontab of {account}', done.stdout, account)


def _readable_spool(root: Path) -> list[Path]:
    for spool in SPOOLS:
        files = _files(root / spool)
        if files:
            return files
    return []


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _reason_to_ignore(path: Path) -> str | None:
    if not NAME.fullmatch(path.name):
        return "Debian's cron ignores files whose names have other characters than letters, digits, - and _: rename it"
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & WRITABLE_BY_OTHERS:
        return 'cron ignores files that are not of root, or that others may write: chown root and chmod go-w'
    return None
