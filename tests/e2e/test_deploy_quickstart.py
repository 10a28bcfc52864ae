"""The unit of systemd for the application of the quick start, as both stand: only paths and the port are replaced."""

import re
import shlex
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.systemd import read_unit, verify_unit

CAPTIONED = re.compile(r'^ +:caption: (hello\.\w+)\n\n((?:(?: {7}.*)?\n)+)', re.MULTILINE)


@pytest.fixture
def hello(root, tmp_path, free_port):
    """The unit of an application in a folder of the test, and its address."""
    port = free_port()
    for name, text in CAPTIONED.findall((root / 'docs' / 'quickstart.rst').read_text()):
        (tmp_path / name).write_text(textwrap.dedent(text).replace('localhost:6543', f'localhost:{port}'))
    unit = (root / 'docs' / 'deploy' / 'hello.service').read_text()
    unit = unit.replace('/home/hello/hello/.venv/bin', str(Path(sys.executable).parent))
    (tmp_path / 'hello.service').write_text(unit.replace('/home/hello/hello', str(tmp_path)))
    return tmp_path / 'hello.service', ('localhost', port)


def test_systemd_finds_nothing_wrong_with_the_unit(hello, program):
    assert verify_unit(program('systemd-analyze'), hello[0]) == ''


def test_the_unit_starts_the_application_of_the_quick_start(hello, start, curl):
    path, address = hello
    service = read_unit(path)['Service']
    assert service['WorkingDirectory'] == str(path.parent)
    process = start('env', *shlex.split(service['Environment']), *shlex.split(service['ExecStart']), listen=address)
    answer = curl(f'http://localhost:{address[1]}/cron')
    assert (answer.status, answer.body) == (200, 'ok')
    assert 'hello, 60 seconds left' in process.log.read_text()
