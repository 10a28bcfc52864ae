"""Liveness of processes: what can be seen of one on this machine, and whether it is dead."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path('/proc')
ENDED, STOPPED = ('Z', 'X', 'x'), 'T'


class Sight(NamedTuple):
    """What can be seen of the process that has a number.

    :param state: the letter of its state, see proc(5).
    :param started: when it started, in units of its kernel, which distinguishes it from others of the same number.
    """

    state: str
    started: str


GONE = Sight('X', '')


@dataclass(frozen=True)
class ProcessState:
    """The process that has claimed a task.

    :param host: the name of its machine, ``None`` as those below if the process is not known any more.
    :param pid: its number there.
    :param boot_and_pidns: the boot and the PID namespace in which ``pid`` is unique, ``None`` where not known.
    :param process_started: when it started, in units of its kernel.
    :param lease_over: whether its lease has expired by the database's clock.
    :param lease_until: when its lease expires, in seconds by the database's clock.
    :param progress: the progress of its runs, see :func:`.read_progress`.
    :param stops: the requests that runs of it end, see :func:`.read_stops`.
    """

    host: str | None
    pid: int | None
    boot_and_pidns: str | None
    process_started: str | None
    lease_over: bool
    lease_until: float | None = None
    stops: str | None = None
    progress: str | None = None


def is_dead(process: ProcessState, seen: Sight | None) -> bool:
    """Return whether a process is dead: by what can be seen of it, otherwise by its lease.

    A process that is seen is alive without a heartbeat, which a task that keeps the GIL prevents. Stopped by a signal,
    it goes by its lease, because it may never continue. A debugger or tracer (state ``t``) is different: it stops a
    process often, for an instant at each system call.

    :param seen: what can be seen of its number, ``None`` if nothing can.
    """
    if seen is not None:
        if seen.state in ENDED:
            return True
        if process.process_started is not None:
            if seen.started != process.process_started:
                return True
            if seen.state != STOPPED:
                return False
    return process.lease_over


class PidNamespace(NamedTuple):
    """One boot of a kernel, and a PID namespace in it: where the number of a process is unique.

    Host names and numbers are not enough: containers share both.

    :param name: the same for all processes in it, ``None`` where it is not known.
    :param proc: where Linux shows its processes.
    """

    name: str | None
    proc: Path = PROC

    @classmethod
    def of_this_process(cls, proc: Path = PROC) -> PidNamespace:
        """Return that of this process."""
        try:
            boot = (proc / 'sys/kernel/random/boot_id').read_text().strip()
            # a /proc of another namespace shows other processes under the numbers of this one
            if os.readlink(proc / 'self') == str(os.getpid()):
                return cls(f'{boot} {os.readlink(proc / "self/ns/pid")}', proc)
        except OSError:
            pass
        return cls(None, proc)

    def see(self, process: ProcessState) -> Sight | None:
        """Return what can be seen of a process, ``None`` if it is of another namespace, or hidden."""
        if process.pid is None or process.boot_and_pidns != self.name:
            return None
        return self.look(process.pid)

    def look(self, pid: int) -> Sight | None:
        """Return what can be seen of the process that has a number, ``None`` if it is hidden from this one.

        ``hidepid``, and ``ProtectProc`` of systemd, hide the processes of other accounts, but not whether a number is
        in use.
        """
        if self.name is None:
            return None
        try:
            stat = (self.proc / str(pid) / 'stat').read_text(errors='replace')
        except OSError:
            return None if _is_in_use(pid) else GONE
        # after the name, which may contain blanks and parentheses (proc(5))
        state, *fields = stat.rpartition(')')[2].split()
        return Sight(state, fields[18])


def _is_in_use(pid: int) -> bool:
    try:
        # nothing is sent
        os.kill(pid, 0)
    except OSError as exc:
        # a process of another account cannot be signalled
        return not isinstance(exc, ProcessLookupError)
    return True
