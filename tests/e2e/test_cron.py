"""The quick start as it is written: Debian's cron, the crontab line of the README, the demo, and what cron mails."""

import email
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ADDRESS = 'http://localhost:6543/cron'
# a cron of its own, with one crontab, and a sendmail that keeps what it is to send
PRIVATE_CRON = """
set -e
mount --bind {folder}/sbin /usr/sbin
mount --bind {folder}/crontabs /var/spool/cron/crontabs
mount --bind {folder}/empty /etc/cron.d
mount --bind /dev/null /etc/crontab
mount -t tmpfs none /run
exec /usr/sbin/cron -f
"""
SENDMAIL = """#!/bin/sh
cat >{folder}/incoming.$$ && mv {folder}/incoming.$$ {folder}/mail.$$
"""


@pytest.fixture
def line(root):
    """The crontab line of the README."""
    lines = re.findall(r'(?m)^ +(\* \* \* \* \* .*)$', (root / 'README.rst').read_text())
    assert lines, 'README.rst shows no crontab line'
    assert ADDRESS in lines[0]
    return lines[0]


@pytest.fixture
def install_crontab(program):
    """Install a crontab for the current user, and put back the old one afterwards."""
    crontab = program('crontab')
    old = subprocess.run([crontab, '-l'], capture_output=True)
    if old.returncode and b'no crontab' not in old.stderr:
        pytest.fail(f'crontab -l: {old.stderr.decode()}')

    yield lambda text: subprocess.run([crontab, '-'], input=text, text=True, check=True)
    if old.returncode:
        # there is none to remove if the test did not get that far
        subprocess.run([crontab, '-r'])
    else:
        subprocess.run([crontab, '-'], input=old.stdout, check=True)


def test_the_crontab_line_of_the_readme_runs_the_demo(program, line, start, install_crontab, ini, until, tmp_path):
    daemon = program('cron', superuser=True)
    with socket.socket() as client:
        assert client.connect_ex(('127.0.0.1', 6543)) != 0, 'port 6543 is taken: end what listens there'
    # demo.ini as it is, in a folder of its own
    start(program('pserve'), str(ini(store=True)), listen=('127.0.0.1', 6543))
    journal = tmp_path / 'var' / 'journal.txt'
    assert not journal.exists()

    install_crontab(line + '\n')
    # it ends at once where another daemon runs already, which then does its work
    start(daemon, '-f')
    # nothing but cron requests /cron: it looks for new crontabs, and runs what is due, at each full minute
    until(lambda: journal.exists() and 'warmed the cache' in journal.read_text(), 'cron runs the demo', 130)
    assert 'sent the mail' in journal.read_text()


@pytest.fixture
def start_cron(program, start, tmp_path):
    """Start a cron with these lines in root's crontab, and return its process, and a function that reads its mails."""
    daemon, unshare = program('cron', superuser=True), program('unshare')

    def run(lines):
        folder = tmp_path / 'cron'
        for name in ('sbin', 'crontabs', 'empty'):
            (folder / name).mkdir(parents=True)
        shutil.copy(daemon, folder / 'sbin')
        (folder / 'sbin' / 'sendmail').write_text(SENDMAIL.format(folder=folder))
        (folder / 'sbin' / 'sendmail').chmod(0o755)
        crontab = folder / 'crontabs' / 'root'
        crontab.write_text('\n'.join(lines) + '\n')
        crontab.chmod(0o600)
        process = start(unshare, '--mount', 'sh', '-c', PRIVATE_CRON.format(folder=folder))

        def read_mails():
            """Return the body of the mail of each line that has one."""
            found = {}
            for path in folder.glob('mail.*'):
                mail = email.message_from_bytes(path.read_bytes())
                (line,) = [line for line in lines if mail['Subject'].endswith(line.split(' ', 5)[5])]
                # Debian 13's cron breaks lines as quoted-printable
                found[line] = mail.get_payload(decode=True).decode()
            return found

        return process, read_mails

    return run


def test_cron_mails_what_failed_and_nothing_else(serve, line, start_cron, free_port, until):
    fine, failing = serve('waitress', tasks='works'), serve('waitress', tasks='works fails')
    lines = {
        'fine': line.replace(ADDRESS, f'{fine.url}/cron'),
        'failed': line.replace(ADDRESS, f'{failing.url}/cron'),
        'refused': line.replace(ADDRESS, f'{fine.url}/cron').replace('curl', 'curl --interface 127.0.0.2'),
        'down': line.replace(ADDRESS, f'http://localhost:{free_port()}/cron'),
    }
    process, read_mails = start_cron(lines.values())
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    until(lambda: len(read_mails()) >= 3, 'cron sends its mails', 130)
    until(lambda: not children.read_text(), 'cron has ended all lines')
    assert 'task trouble.works ended' in fine.log
    mails = {name: read_mails().get(crontab_line) for name, crontab_line in lines.items()}
    assert mails['fine'] is None
    assert mails['down'].startswith('curl: (7) ')
    assert re.fullmatch(r'curl: \(22\) .* 403\nfail.*\n?', mails['refused'])
    # what curl prints to standard error comes first, since cron reads its output by a pipe
    error, summary, task = mails['failed'].splitlines()
    assert error == 'curl: (22) The requested URL returned error: 500'
    assert summary.startswith('fail: 1 of 2 tasks due at 20')
    assert task == 'trouble.fails: failed with RuntimeError; failures in a row in this process: 1'
