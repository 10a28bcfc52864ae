"""Liveness: the decision for everything that can be seen, and what can be seen of real processes."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from pyramid_cron.store.liveness import GONE, PidNamespace, ProcessState, Sight, is_dead
from tests.support.requirements import lacking

LINUX = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='what /proc shows is Linux')

STARTED = '4711'
ALIVE, DEAD = False, True
BY_LEASE = None
# what is seen of a number; the decision if the start of the process was recorded, and if it was not
DECISIONS = {
    'running': (Sight('R', STARTED), ALIVE, BY_LEASE),
    'sleeping': (Sight('S', STARTED), ALIVE, BY_LEASE),
    'waiting for a disk': (Sight('D', STARTED), ALIVE, BY_LEASE),
    'traced': (Sight('t', STARTED), ALIVE, BY_LEASE),
    'stopped': (Sight('T', STARTED), BY_LEASE, BY_LEASE),
    'a zombie': (Sight('Z', STARTED), DEAD, DEAD),
    'ending': (Sight('X', STARTED), DEAD, DEAD),
    'ending, in old kernels': (Sight('x', STARTED), DEAD, DEAD),
    'gone': (GONE, DEAD, DEAD),
    'another': (Sight('S', '4712'), DEAD, BY_LEASE),
    'another, stopped': (Sight('T', '4712'), DEAD, BY_LEASE),
    'another, a zombie': (Sight('Z', '4712'), DEAD, DEAD),
    'not to be seen': (None, BY_LEASE, BY_LEASE),
}


def state(boot_and_pidns, pid, started, lease_over=False):
    return ProcessState('host', pid, boot_and_pidns, started, lease_over)


@pytest.mark.parametrize('lease_over', [False, True], ids=['within its lease', 'over its lease'])
@pytest.mark.parametrize('started', [STARTED, None], ids=['start recorded', 'start unknown'])
@pytest.mark.parametrize('name', DECISIONS)
def test_what_is_seen_decides_before_the_lease(name, started, lease_over):
    seen, recorded, unknown = DECISIONS[name]
    decision = unknown if started is None else recorded
    expected = lease_over if decision is BY_LEASE else decision
    assert is_dead(state('here', 7, started, lease_over), seen) is expected


@pytest.fixture
def child():
    """Return a function that starts a process, which waits until it is killed or its input ends, and its number.

    :param before: what it does before the function returns.
    :param after: what it does then.
    """
    started = []

    def start(before='', after='input()'):
        code = f'{before}\nprint(flush=True)\n{after}'
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, '-c', code], **pipes)
        started.append(process)
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def here():
    return PidNamespace.of_this_process()


def wait_for(pid, change):
    """Wait until a child has changed, and leave it as it is."""
    os.waitid(os.P_PID, pid, change | os.WNOWAIT)


@LINUX
def test_a_killed_process_is_dead_at_once(child, here):
    row = state(here.name, pid := child(), here.look(pid).started)
    assert not is_dead(row, here.see(row))
    os.kill(pid, signal.SIGKILL)
    wait_for(pid, os.WEXITED)
    # a zombie can be signalled
    os.kill(pid, 0)
    assert is_dead(row, here.see(row))
    os.waitpid(pid, 0)
    assert here.see(row) == GONE


@LINUX
def test_a_living_process_is_alive_without_a_lease(child, here):
    pid = child()
    row = state(here.name, pid, here.look(pid).started, lease_over=True)
    assert not is_dead(row, here.see(row))


@LINUX
def test_a_later_process_of_the_same_number_is_another(child, here):
    row = state(here.name, child(), 'long ago')
    assert is_dead(row, here.see(row))


@LINUX
@pytest.mark.parametrize('lease_over', [False, True])
def test_a_stopped_process_goes_by_its_lease(child, here, lease_over):
    pid = child()
    row = state(here.name, pid, here.look(pid).started, lease_over)
    os.kill(pid, signal.SIGSTOP)
    wait_for(pid, os.WSTOPPED)
    assert is_dead(row, here.see(row)) is lease_over
    os.kill(pid, signal.SIGCONT)
    wait_for(pid, os.WCONTINUED)
    assert not is_dead(row, here.see(row))


@LINUX
def test_a_process_in_a_debugger_is_alive(child, here):
    # the first argument is PTRACE_TRACEME
    pid = child('import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)')
    os.kill(pid, signal.SIGSTOP)
    # not left as it is, because subprocess would take it for ended
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    row = state(here.name, pid, here.look(pid).started, lease_over=True)
    assert here.see(row).state == 't'
    assert not is_dead(row, here.see(row))


@pytest.mark.parametrize('letter', 'RSDTtZX')
def test_a_state_is_found_behind_any_name(tmp_path, letter):
    (tmp_path / '7').mkdir()
    fields = ' '.join(str(number) for number in range(4, 53))
    (tmp_path / '7' / 'stat').write_bytes(b'7 (a) Z (\xff b) ' + f'{letter} {fields}'.encode())
    assert PidNamespace('here', tmp_path).look(7) == Sight(letter, '22')


@pytest.mark.parametrize('recorded', ['another boot', None])
@pytest.mark.parametrize('name', ['this boot', None])
def test_nothing_is_seen_of_another_namespace(recorded, name):
    assert PidNamespace(name).see(state(recorded, os.getpid(), STARTED)) is None


def test_nothing_is_seen_of_an_unknown_process():
    assert PidNamespace('here').see(ProcessState(None, None, None, None, True)) is None


def test_a_system_without_proc_has_no_namespace(tmp_path):
    nowhere = PidNamespace.of_this_process(tmp_path)
    assert nowhere == (None, tmp_path)
    assert nowhere.look(os.getpid()) is None


def test_a_proc_of_other_numbers_has_no_namespace(tmp_path):
    (tmp_path / 'sys/kernel/random').mkdir(parents=True)
    (tmp_path / 'sys/kernel/random/boot_id').write_text('boot\n')
    (tmp_path / 'self').symlink_to(str(os.getpid() + 1))
    assert PidNamespace.of_this_process(tmp_path).name is None


def test_a_proc_that_hides_this_process_shows_no_start(tmp_path):
    assert PidNamespace('here', tmp_path).look(os.getpid()) is None


SHOW_NAME = 'from pyramid_cron.store.liveness import PidNamespace; print(PidNamespace.of_this_process().name)'


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
@LINUX
def test_all_processes_of_a_machine_share_a_namespace(here):
    assert run(sys.executable, '-c', SHOW_NAME) == here.name


@pytest.fixture
def unshare():
    """Return a function that runs a command, with arguments of ``unshare`` before it, and returns its output."""
    program = shutil.which('unshare')
    if program is None:
        lacking('unshare is not installed')
    if os.geteuid() != 0:
        lacking('a /proc of its own takes root')
    if subprocess.run([program, '--mount', '--pid', '--fork', '--mount-proc', 'true'], capture_output=True).returncode:
        lacking('unshare is not permitted here')
    return lambda *arguments: run(program, *arguments)


@pytest.mark.slow
def test_a_container_is_a_namespace_of_its_own(unshare, here):
    found = unshare('--pid', '--fork', '--mount-proc', sys.executable, '-c', SHOW_NAME)
    assert found not in ('None', here.name)
    assert found.split()[0] == here.name.split()[0]


@pytest.mark.slow
def test_the_proc_of_another_namespace_is_not_believed(unshare):
    assert unshare('--pid', '--fork', sys.executable, '-c', SHOW_NAME) == 'None'


# imported as root, since an unprivileged account may not be able to read this Python's files
LOOK_UNPRIVILEGED = """
import os, sys
from pyramid_cron.store.liveness import PidNamespace
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
here = PidNamespace.of_this_process()
seen = [here.look(int(pid)) for pid in sys.argv[2:]]
print([sight and sight.started for sight in seen], here.look(os.getpid()).state, here.name, sep='\\n')
"""
STRANGER = 65533


@pytest.fixture
def look_unprivileged(unshare):
    """Return a function that looks for processes from another account, through a ``/proc`` with an option."""

    def look(option, *pids):
        mounted = f'mount -t proc -o {option} proc /proc && exec "$@"'
        command = [sys.executable, '-c', LOOK_UNPRIVILEGED, str(STRANGER), *map(str, pids)]
        return unshare('--mount', 'sh', '-c', mounted, 'sh', *command).splitlines()

    return look


@pytest.fixture
def ended(child):
    """The number of a process that has ended."""
    pid = child(after='')
    os.waitpid(pid, 0)
    return pid


@pytest.mark.slow
def test_processes_of_other_accounts_are_seen(look_unprivileged, child, here, ended):
    pid = child()
    found, own, name = look_unprivileged('hidepid=0', pid, ended)
    assert found == str([here.look(pid).started, GONE.started])
    assert (own, name) == ('R', here.name)


# systemd's ProtectProc=noaccess, invisible and ptraceable
@pytest.mark.slow
@pytest.mark.parametrize('option', ['hidepid=1', 'hidepid=2', 'hidepid=4'])
def test_hidden_processes_go_by_the_lease(look_unprivileged, child, here, ended, option):
    # the last one has the same account, and cannot be traced because it has changed it
    changed = child(f'import os; os.setgid({STRANGER}); os.setuid({STRANGER})')
    found, own, name = look_unprivileged(option, 1, child(), changed, ended)
    assert found == str([None, None, None, GONE.started])
    assert (own, name) == ('R', here.name)


@pytest.mark.slow
def test_a_proc_with_processes_alone_has_no_namespace(unshare):
    mounted = 'mount -t proc -o subset=pid proc /proc && exec "$@"'
    assert unshare('--mount', 'sh', '-c', mounted, 'sh', sys.executable, '-c', SHOW_NAME) == 'None'
