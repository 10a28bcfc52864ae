"""The quick start as it is written: Debian's cron, the crontab line of the README and the demo."""

import re
import socket
import subprocess

import pytest


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


def test_the_crontab_line_of_the_readme_runs_the_demo(program, root, start, install_crontab, ini, until, tmp_path):
    daemon = program('cron', superuser=True)
    lines = re.findall(r'(?m)^ +(\* \* \* \* \* .*)$', (root / 'README.rst').read_text())
    assert lines, 'README.rst shows no crontab line'
    line = lines[0]
    assert line.endswith(' http://localhost:6543/cron')

    with socket.socket() as client:
        assert client.connect_ex(('127.0.0.1', 6543)) != 0, 'port 6543 is taken: end what listens there'
    # demo.ini as it is, in a folder of its own
    start(program('pserve'), str(ini()), listen=('127.0.0.1', 6543))
    journal = tmp_path / 'var' / 'journal.txt'
    assert not journal.exists()

    install_crontab(line + '\n')
    # it ends at once where another daemon runs already, which then does its work
    start(daemon, '-f')
    # nothing but cron requests /cron: it looks for new crontabs, and runs what is due, at each full minute
    until(lambda: journal.exists() and 'warmed the cache' in journal.read_text(), 'cron runs the demo', 130)
    assert 'sent the mail' in journal.read_text()
