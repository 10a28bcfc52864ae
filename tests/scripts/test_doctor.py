import json
import re
from pathlib import Path

import pytest

from tests.support.answering import answering
from tests.support.pcron import FixedCommand

ALLOWED = 'ok: this request may run tasks, and has run none because of ?check; application shop'
SETTINGS = 'cron.app = shop\ncron.timezone = UTC\n'


# as urlmap does
MOUNT = """

def mount(loader, global_conf):
    app = loader.get_app('shop', global_conf=global_conf)
    return lambda environ, start_response: app(environ, start_response)
"""


@pytest.fixture
def run(ini, pcron, tmp_path):
    """Run ``pcron doctor`` with an application of these settings and sections, on a machine without crontabs."""

    class ElsewhereCommand(FixedCommand):
        root = tmp_path
        crontab = str(tmp_path / 'crontab')

    def run(*words, settings='', columns=80):
        path = ini("plain, min='*', name='plain'", settings=SETTINGS + settings)
        status, out, err = pcron('doctor', path, *words, columns=columns, command=ElsewhereCommand)
        assert err == ''
        return status, out

    return run


def requests(out):
    """Return the findings about requests."""
    return [finding for finding in json.loads(out)['findings'] if finding['topic'] == 'request']


def test_a_finding_is_a_line(run):
    with answering(ALLOWED) as server:
        _, out = run(f'http://localhost:{server.server_port}', columns=1000)
    lines = out.splitlines()
    assert lines[0].startswith(f'ok    request   http://localhost:{server.server_port}/cron allows ')
    assert 'ok    zone      schedules are in UTC, where it is Wed 23:07 (+0000)' in lines
    assert {line[:6] for line in lines} <= {'ok    ', 'warn  ', 'fail  '}


def test_a_finding_is_wrapped_below_its_text(run):
    status, out = run('http://localhost:1')
    assert status == 1
    lines = out.splitlines()
    assert lines[0].startswith('fail  request   nothing listens at http://localhost:1/cron; ')
    assert lines[1].startswith(' ' * 16)
    assert max(map(len, lines)) <= 80


def test_json_has_the_same_findings(run):
    status, out = run('http://localhost:1', '--json')
    assert status == 1
    assert json.loads(out)['ok'] is False
    assert requests(out) == [
        {
            'status': 'fail',
            'topic': 'request',
            'text': 'nothing listens at http://localhost:1/cron',
            'remedy': 'start the server, or name the address that it has: pcron doctor CONFIG_URI URL',
        }
    ]


@pytest.mark.parametrize(
    ('settings', 'words', 'address'),
    [
        ('[server:main]\nlisten = 127.0.0.1:1\n', (), 'http://127.0.0.1:1/cron'),
        ('[server:main]\nlisten = 127.0.0.1:%(port)s\n', ('port=1',), 'http://127.0.0.1:1/cron'),
        ('cron.url = http://localhost:1/shop\n', (), 'http://localhost:1/shop/cron'),
        ('cron.url = http://localhost:2/shop\n[server:main]\nport = 1\n', (), 'http://localhost:1/cron'),
        ('[server:main]\nport = 2\n', ('http://localhost:1/x',), 'http://localhost:1/x'),
        ('cron.path = /tick\n', ('http://localhost:1',), 'http://localhost:1/tick'),
    ],
)
def test_the_address_is_that_of_the_server(run, settings, words, address):
    _, out = run('--json', *words, settings=settings)
    assert requests(out)[0]['text'] == f'nothing listens at {address}'


@pytest.mark.slow
def test_the_session_is_checked_with_a_request_of_the_application(run, ini, pcron, tmp_path):
    settings = f'cron.store = sqlite:///{tmp_path}/cron.sqlite\ncron.session = dbsession\n'
    pcron('store', 'upgrade', ini("plain, min='*', name='plain'", settings=settings))
    _, out = run('--json', 'http://localhost:1', settings=settings)
    [found] = [finding for finding in json.loads(out)['findings'] if finding['topic'] == 'session']
    assert (found['status'], 'dbsession' in found['text']) == ('fail', True)


def test_a_mounted_application_is_below_its_path(ini, pcron):
    mounts = '[composite:main]\nuse = call:{0}:mount\n[server:main]\nport = 1\n'
    path = Path(ini("plain, min='*'", settings='cron.url = http://example.com/shop'))
    text = path.read_text()
    module = re.search('call:(.*):main', text)[1]
    path.write_text(text.replace('[app:main]', '[app:shop]') + mounts.format(module))
    source = path.parent / f'{module}.py'
    source.write_text(source.read_text() + MOUNT)
    _, out, _ = pcron('doctor', str(path), '--json')
    assert requests(out)[0]['text'] == 'nothing listens at http://localhost:1/shop/cron'


def test_without_an_address_it_has_to_be_named(run):
    status, out = run('--json')
    assert status == 1
    assert requests(out)[0]['text'].startswith('nothing was requested')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['http://localhost', 'http://localhost'], 'name one URL, not 2'),
        (['http:'], "'http:' is no URL such as http://localhost:6543/cron"),
        (['localhost'], 'localhost'),
    ],
)
def test_a_wrong_use_is_one_line_and_status_2(ini, pcron, words, message):
    status, out, err = pcron('doctor', ini("plain, min='*'"), *words)
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert message in err


def test_a_missing_variable_is_status_2(ini, pcron):
    path = ini("plain, min='*'", settings='[server:main]\nlisten = localhost:%(http_port)s')
    status, out, err = pcron('doctor', path)
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert err.endswith('; name the variable, as in http_port=8080\n')
    assert pcron('doctor', path, 'http_port=1')[0] == 1


def test_an_application_that_cannot_be_made_is_status_2(ini, pcron):
    status, out, err = pcron('doctor', ini("plain, min='*'", settings='cron.window = x'))
    assert (status, out) == (2, '')
    assert 'cron.window' in err
