"""The doors of the quick start, and the matrix of doors: see tests/doors.

With every server and proxy of this machine: ``python -m tests.doors --help``.
"""

import pytest

from tests.support.modules import run_module

SERVER, STRANGER = 'daemon', 'nobody'
LOW_PORT = ('--local-port', '600-1023')
SECRET = 'a secret of more than 16 characters'


@pytest.fixture
def tmp_path(folder_of_all):
    return folder_of_all


@pytest.mark.parametrize('secret', [None, SECRET], ids=['by default', 'with the secret'])
def test_the_doors_of_the_quick_start_open_as_documented(serve, server_kind, proxy, curl, secret):
    server = serve(server_kind, account=SERVER, settings={} if secret is None else {'cron.secret': secret})
    url = f'{server.url}/cron'
    behind_nginx = f'{proxy("nginx", server.port)}/cron'
    doors = [
        # account, URL, options, and whether it opens without a secret
        (SERVER, url, (), True),
        (None, url, LOW_PORT, True),
        (None, url, (), False),
        (STRANGER, url, (), False),
        # as root too, which is not what connects to the server
        (None, behind_nginx, LOW_PORT, False),
    ]
    for account, door, options, opens in doors:
        answer = curl(door, *options, account=account)
        assert answer.status == (401 if secret else 200 if opens else 403), (account, door, options)
        if secret:
            answer = curl(door, *options, '-H', f'Authorization: Bearer {secret}', account=account)
            assert answer.status == 200, (account, door, options)
    if secret is None:
        assert '--local-port 600-1023' in server.log


def test_no_other_account_gets_in_on_three_servers(root, program):
    for name in ('curl', 'nginx'):
        program(name, superuser=True)
    assert run_module(root, 'tests.doors', '--quick') == 0


@pytest.mark.parametrize(
    ('control', 'server', 'front', 'tries'),
    [
        ('root_from_any_port', 'waitress', 'python-root', 0),
        ('unknown_port', 'wsgiref', 'nothing', 0),
        ('any_match', 'waitress', 'nothing', 250),
        ('no_secret', 'waitress', 'nothing', 0),
        ('all_refused', 'waitress', 'nothing', 0),
    ],
)
def test_the_matrix_finds_a_protection_that_is_taken_out(root, program, control, server, front, tries):
    program('curl', superuser=True)
    arguments = '--control', control, '--only', server, '--front', front, '--tries', str(tries)
    assert run_module(root, 'tests.doors', *arguments) == 0
