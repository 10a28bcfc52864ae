"""The accounts that may connect from this machine, by tables written here."""

import os

import pytest

from pyramid_cron.access import accounts, peers
from pyramid_cron.access.addresses import parse_network
from pyramid_cron.access.rules import Rules, Sender, refuse
from tests.support.tcp_tables import PORT, SERVER_PORT, STRANGER, line

OURS = os.geteuid()
# of a server, and not of a test
SERVED = {'wsgi.version': (1, 0)}


def judge(tables, peer='127.0.0.1', secret=None, peer_check=True, **environ):
    """Return the refusal of a request, and the reasons why its account is unknown."""
    reasons = []
    environ = SERVED | {'REMOTE_PORT': str(PORT), 'SERVER_PORT': str(SERVER_PORT)} | environ
    environ = {name: value for name, value in environ.items() if value is not None}
    rules = Rules(secret, tuple(map(parse_network, ('127.0.0.0/8', '10.0.0.0/8'))), peer_check)
    return refuse(rules, Sender('GET', peer, environ), reasons.append, tables), reasons


@pytest.fixture
def be(monkeypatch):
    """Return a function by which this process looks like an account: a real one could not read the tables of a test."""
    return lambda uid: monkeypatch.setattr(os, 'geteuid', lambda: uid)


@pytest.fixture
def as_another_account(be):
    """Look like an account that is neither root nor a stranger."""
    be(STRANGER - 1)
    return STRANGER - 1


def test_the_servers_own_account_may_trigger(write):
    assert judge(write([line(OURS)])) == (None, [])


@pytest.mark.parametrize('port', [1, 600, 1023])
def test_root_may_trigger_from_a_port_of_roots(write, as_another_account, port):
    assert judge(write([line(0, port=port)]), REMOTE_PORT=str(port)) == (None, [])


@pytest.mark.parametrize('port', [1024, 4711, 65535])
def test_root_may_not_trigger_from_another_port(write, as_another_account, port):
    refusal, reasons = judge(write([line(0, port=port)]), REMOTE_PORT=str(port))
    assert (refusal.status, refusal.was_allowed, reasons) == (403, True, [])
    assert f'from the account root, but from port {port}' in refusal.why
    assert f'the server runs as {peers.account_name(as_another_account)}' in refusal.why
    # not the name of the account, which the answer to ?check would show
    assert refusal.remedy == (
        'call curl with --local-port 600-1023 in a crontab line of root, or use the account of the server, '
        'or set cron.secret and send it'
    )


def test_a_stranger_may_not_trigger_from_a_port_of_roots(write):
    # where the system allows other accounts to take such ports, as in a container
    assert judge(write([line(STRANGER, port=600)]), REMOTE_PORT='600')[0].kind == 'from other accounts'


def test_a_server_of_root_trusts_root_from_any_port(write, be):
    be(0)
    assert judge(write([line(0)])) == (None, [])


def test_a_port_may_be_a_number(write):
    assert judge(write([line(OURS)]), REMOTE_PORT=PORT) == (None, [])


def test_another_account_may_not_trigger_and_is_named(write):
    refusal, reasons = judge(write([line(STRANGER)]))
    assert (refusal.status, refusal.was_allowed, reasons) == (403, True, [])
    own = peers.account_name(OURS)
    assert f'from the account {STRANGER}; the server runs as {own}' in refusal.why
    assert refusal.remedy == (
        'make it as the account of the server, or as root by curl --local-port 600-1023, or set cron.secret and send it'
    )


@pytest.mark.parametrize('trusted', [[OURS], [OURS, 0], [0]])
def test_another_account_beside_trusted_ones_may_not_trigger(write, trusted):
    refusal, _ = judge(
        write([line(uid, to_port=SERVER_PORT if uid == STRANGER else 5432) for uid in [*trusted, STRANGER]])
    )
    assert f'account {STRANGER}' in refusal.why


def test_the_port_of_the_server_is_not_believed(write):
    """Apache takes it from the header ``Host``."""
    tables = write([line(STRANGER), line(OURS, to_port=5432)])
    assert judge(tables, SERVER_PORT='5432')[0].kind == 'from other accounts'


@pytest.mark.parametrize(
    'environ',
    [{}, {'SERVER_PORT': None}, {'SERVER_PORT': '5432', 'mod_wsgi.listener_port': str(SERVER_PORT)}],
    ids=['another port', 'no port', 'mod_wsgi'],
)
def test_a_connection_to_another_server_is_no_proof(write, environ):
    """It is what is left after a stranger has reset a connection from the same port."""
    tables = write([line(OURS, to_port=5432)])
    assert 'no process of this machine' in judge(tables, **environ)[0].why
    assert judge(tables, SERVER_PORT='5432') == (None, [])
    assert judge(tables, **{'mod_wsgi.listener_port': '5432'}) == (None, [])


@pytest.mark.parametrize('lines', [[], [line(STRANGER, port=PORT + 1)], [line(0, state='05')], [line(0, inode=0)]])
def test_a_connection_without_a_process_is_refused(write, lines):
    refusal, reasons = judge(write(lines, []))
    assert (refusal.status, refusal.kind, reasons) == (403, 'on a connection that has ended', [])
    assert 'comes from 127.0.0.1 port 4711, and no process' in refusal.why
    assert 'set cron.secret' in refusal.remedy


@pytest.mark.parametrize('value', [None, '', '0', '65536', '123456', '-1', 'None', '4711, 1', '4711\n'])
def test_without_the_port_of_the_peer_a_request_is_refused(write, value):
    refusal, reasons = judge(write([line(OURS)]), REMOTE_PORT=value)
    assert (refusal.status, refusal.was_allowed, reasons) == (403, True, [])
    assert 'does not set its port (REMOTE_PORT)' in refusal.why
    assert 'set cron.secret and send it' in refusal.remedy
    assert 'cron.peer_check = off' in refusal.remedy


SWAPPED = int.from_bytes(PORT.to_bytes(2, 'big'), 'little')


@pytest.mark.parametrize('peers_end', [line(OURS), line(STRANGER), line(0, port=SERVER_PORT, to_port=PORT, state='08')])
def test_a_port_with_its_bytes_swapped_is_recognised(write, peers_end):
    """It may be the port of another connection, even of a trusted account."""
    tables = write([peers_end, line(OURS, port=SWAPPED)])
    refusal, _ = judge(tables, REMOTE_PORT=str(SWAPPED), **{'uwsgi.version': b'2.0'})
    assert 'which is 4711 with its two bytes swapped, as uWSGI does with --http' in refusal.why
    assert refusal.kind == 'by a server that does not set the port of its peer'


def test_a_port_that_uwsgi_sets_correctly_counts(write):
    assert judge(write([line(OURS)]), **{'uwsgi.version': b'2.0'}) == (None, [])


@pytest.mark.parametrize('port', [None, str(PORT)])
def test_without_a_table_the_address_decides_with_a_warning(tmp_path, port):
    refusal, (reason,) = judge((str(tmp_path / 'nowhere'),), REMOTE_PORT=port)
    assert refusal is None
    assert 'nowhere' in reason


@pytest.mark.parametrize(
    'environ',
    [{'paste.testing': True}, {'wsgi.version': None}, {'paste.command_request': True}],
    ids=['WebTest', 'DummyRequest', 'prequest'],
)
def test_a_request_without_a_connection_goes_by_its_address(write, environ):
    assert judge(write([]), REMOTE_PORT=None, **environ) == (None, [])


@pytest.mark.parametrize('name', ['paste.testing', 'paste.command_request'])
def test_a_text_that_a_client_sends_is_no_test(write, name):
    """With uWSGI's protocol a client can send any key."""
    assert judge(write([line(STRANGER)]), **{name: '1'})[0].kind == 'from other accounts'


def test_an_account_that_stands_for_others_is_not_trusted(write, monkeypatch):
    # not each account may make the user namespace in which that is so
    monkeypatch.setattr(peers, 'stands_for_others', lambda uid: uid == OURS)
    assert judge(write([line(OURS)]))[0].kind in ('from other accounts', 'by root from a port of 1024 or above')


def test_the_check_of_the_account_can_be_switched_off(write):
    for lines, port in (([line(STRANGER)], PORT), ([], None)):
        assert judge(write(lines), peer_check=False, REMOTE_PORT=port) == (None, [])
    assert judge(write([]), peer_check=False, HTTP_VIA='1.1 p')[0].kind == 'through a proxy'
    assert judge(write([]), peer_check=False, HTTP_HOST='example.com')[0].kind == 'for another host'


@pytest.mark.parametrize(
    ('environ', 'status'),
    [
        ({'peer': '10.1.2.3'}, None),
        ({'peer': '192.0.2.1'}, 403),
        ({'HTTP_VIA': '1.1 p'}, 403),
        ({'HTTP_HOST': 'www.example.com'}, 403),
        ({'HTTP_SEC_FETCH_SITE': 'cross-site'}, 403),
        ({'secret': b's' * 16}, 401),
        ({'secret': b's' * 16, 'HTTP_CRON_SECRET': 's' * 16}, None),
    ],
)
def test_the_account_is_looked_up_last(environ, status, tmp_path):
    refusal, reasons = judge((str(tmp_path / 'nowhere'),), **environ)
    assert reasons == []
    assert (refusal and refusal.status) == status


def test_the_ports_in_the_advice_are_those_of_root():
    first, last = map(int, accounts.LOCAL_PORTS.split('-'))
    assert first < last < accounts.FIRST_UNPRIVILEGED_PORT
