"""Effects outside of the process during a rehearsal: files, connections, processes, by audit events (PEP 578).

These can be seen and not rolled back. Code in other languages than Python raises no such event.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from pyramid_cron.rehearsal.drivers import opens_held_connection
from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.rehearsal.held import REHEARSAL

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
# what Python itself writes to import a module, and files that keep nothing
IGNORED = ('__pycache__', '/dev/', '/proc/self/')


def _shown(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else repr(path)


def _is_ignored(path: Any) -> bool:
    # a number is a file that is open already
    return isinstance(path, int) or any(part in _shown(path) for part in IGNORED)


def _open(findings: Findings, path: Any, mode: Any, flags: Any) -> None:
    writes = any(letter in mode for letter in 'wax+') if isinstance(mode, str) else bool((flags or 0) & WRITES)
    if writes and not _is_ignored(path):
        findings.escape(f'file written: {_shown(path)}')


def _path(what: str) -> Callable[..., None]:
    def seen(findings: Findings, path: Any, *args: Any) -> None:
        if not _is_ignored(path):
            findings.escape(f'{what}: {_shown(path)}')

    return seen


def _connect(findings: Findings, socket: Any, address: Any) -> None:
    if opens_held_connection():
        return
    shown = ':'.join(map(str, address[:2])) if isinstance(address, tuple) else _shown(address)
    findings.escape(f'connection to {shown}')


def _smtp(findings: Findings, *args: Any) -> None:
    raise findings.refuse('a mail by smtplib')


def _popen(findings: Findings, executable: Any, args: Any, *more: Any) -> None:
    findings.escape(f'process started: {args if isinstance(args, str) else " ".join(map(_shown, args))}')


def _process(findings: Findings, *args: Any) -> None:
    shown = next((_shown(argument) for argument in args if isinstance(argument, (str, bytes))), '')
    findings.escape(f'process started: {shown}')


def _fork(findings: Findings) -> None:
    findings.escape('a child process was forked: what it would write is held back, and not shown')


def _sqlite(findings: Findings, database: Any) -> None:
    if not opens_held_connection():
        raise findings.refuse(f'a connection to SQLite, {_shown(database)}, that was not made by sqlite3.connect()')


EVENTS: dict[str, Callable[..., None]] = {
    'open': _open,
    'os.remove': _path('file removed'),
    'os.rename': _path('file renamed'),
    'os.truncate': _path('file written'),
    'os.mkdir': _path('folder made'),
    'os.rmdir': _path('folder removed'),
    'os.link': _path('link made'),
    'os.symlink': _path('link made'),
    'os.chmod': _path('file changed'),
    'os.chown': _path('file changed'),
    'socket.connect': _connect,
    'socket.sendto': _connect,
    'smtplib.send': _smtp,
    'subprocess.Popen': _popen,
    'os.system': _process,
    'os.exec': _process,
    'os.posix_spawn': _process,
    'os.spawn': _process,
    'os.fork': _fork,
    'os.forkpty': _fork,
    'sqlite3.connect': _sqlite,
}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    findings = REHEARSAL.findings
    if findings is None or event not in EVENTS:
        return
    EVENTS[event](findings, *args)


# debuggers and coverage see it, too
_hook.__cantrace__ = True  # type: ignore[attr-defined]
_installed: list[bool] = []


def watch_process() -> None:
    """Add the hook, which cannot be removed, and which does nothing while no rehearsal is going on."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)
