"""The account behind a connection, from tables written here and from the kernel's for real connections."""

import os
import socket
from ipaddress import ip_address
from sys import byteorder

import pytest

from pyramid_cron.access import peers, rules

HEADING = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
PORT, SERVER_PORT = 4711, 6543
LOCAL, MAPPED = ip_address('127.0.0.1'), ip_address('::ffff:127.0.0.1')
OURS, STRANGER = os.geteuid(), 4_000_001


def end(address, port):
    words = [address.packed[i : i + 4] for i in range(0, len(address.packed), 4)]
    return ''.join(f'{int.from_bytes(word, byteorder):08X}' for word in words) + f':{port:04X}'


def line(uid, address=LOCAL, port=PORT, to=None, to_port=SERVER_PORT, state='01', inode=12345):
    ends = f'{end(address, port)} {end(to or address, to_port)}'
    return (
        f'  17: {ends} {state} 00000000:00000000 00:00000000 00000000 {uid:5d}        0 {inode} 1 0000000000000000 20 4'
    )


@pytest.fixture
def write(tmp_path):
    """Write tables of the form of /proc/net/tcp, each from its lines, and return their paths."""

    def tables(*tables):
        paths = [tmp_path / str(number) for number in range(len(tables))]
        for path, lines in zip(paths, tables, strict=True):
            path.write_text('\n'.join([HEADING, *lines, '']))
        return tuple(map(str, paths))

    return tables


# the server's end of the connection, and other connections of the machine
OTHERS = [
    line(STRANGER, port=SERVER_PORT, to_port=PORT),
    line(STRANGER, port=SERVER_PORT, to=ip_address('0.0.0.0'), to_port=0, state='0A'),
    line(STRANGER, port=PORT + 1),
    line(STRANGER, address=ip_address('127.0.0.2')),
    # the same port of the peer, connected to another server
    line(STRANGER, to_port=5432),
]


@pytest.mark.parametrize('uid', [0, 1, 1000, 65534, 4294967294])
def test_the_owner_of_the_peers_end_is_found_among_others(write, uid):
    tables = write([*OTHERS, line(uid), *OTHERS], [])
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {uid}


def test_an_ipv4_connection_may_belong_to_an_ipv6_socket(write):
    tables = write(OTHERS, [line(7, address=MAPPED)])
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {7}


def test_the_second_table_is_read_only_without_a_match(write):
    tables = write([line(7)], [line(STRANGER, address=MAPPED)])
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {7}


def test_a_missing_table_is_skipped(write, tmp_path):
    address = ip_address('::1')
    (table,) = write([line(STRANGER, address=MAPPED), line(7, address=address)])
    assert peers.owner_uids(address, PORT, SERVER_PORT, (str(tmp_path / 'none'), table)) == {7}


@pytest.mark.parametrize('state', ['02', '03', '04', '05', '06', '07', '08', '09', '0A', '0B', '0C'])
def test_a_connection_that_is_not_open_has_no_owner(write, state):
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, write([line(0, state=state)])) == set()


def test_a_socket_without_a_process_is_not_roots(write):
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, write([line(0, inode=0)])) == set()


def test_every_connection_between_the_two_ports_counts(write):
    tables = write([line(0), line(STRANGER, to=ip_address('127.0.0.2'))])
    assert peers.owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {0, STRANGER}


def test_without_any_table_the_error_names_one(tmp_path):
    with pytest.raises(OSError, match='nowhere'):
        peers.owner_uids(LOCAL, PORT, SERVER_PORT, (str(tmp_path / 'nowhere'), str(tmp_path / 'neither')))


@pytest.mark.parametrize(
    ('family', 'listening', 'target'),
    [
        (socket.AF_INET, '127.0.0.1', '127.0.0.1'),
        (socket.AF_INET6, '::1', '::1'),
        (socket.AF_INET6, '::ffff:127.0.0.1', '127.0.0.1'),
    ],
)
def test_the_kernel_shows_our_account_for_our_connection(family, listening, target):
    with socket.socket(family) as server:
        server.bind((listening, 0))
        server.listen()
        client = socket.create_connection((target, server.getsockname()[1]))
        accepted, (peer, port, *_) = server.accept()
        with accepted:
            address, server_port = rules.parse_address(peer), server.getsockname()[1]
            assert peers.owner_uids(address, port, server_port) == {OURS}
            # a client that does not wait for the answer: from here on the kernel shows uid 0
            client.close()
            assert peers.owner_uids(address, port, server_port) == set()


def judge(tables, **environ):
    """Return the refusal of a request, and the reasons why its account is unknown."""
    reasons = []
    ports = {'REMOTE_PORT': str(PORT), 'SERVER_PORT': str(SERVER_PORT), **environ}
    environ = {name: value for name, value in ports.items() if value is not None}
    networks = tuple(map(rules.parse_network, ('127.0.0.0/8', '10.0.0.0/8')))
    peer = environ.pop('peer', '127.0.0.1')
    secret = environ.pop('secret', None)
    refusal = rules.refuse(
        'GET', peer, environ, secret=secret, allowed_ips=networks, unchecked=reasons.append, tables=tables
    )
    return refusal, reasons


@pytest.mark.parametrize('uid', [0, OURS])
def test_root_and_the_servers_own_account_may_trigger(write, uid):
    assert judge(write([line(uid)])) == (None, [])


def test_a_port_may_be_a_number(write):
    assert judge(write([line(0)]), REMOTE_PORT=PORT, SERVER_PORT=SERVER_PORT) == (None, [])


def test_another_account_may_not_trigger_and_is_named(write):
    refusal, reasons = judge(write([line(STRANGER)]))
    assert (refusal.status, reasons) == (403, [])
    assert f'from the account {STRANGER}; the server runs as {peers.account_name(OURS)}' in refusal.why
    assert refusal.remedy == f'make it as {peers.account_name(OURS)} or as root, or set cron.secret and send it'


def test_another_account_beside_our_own_may_not_trigger(write):
    tables = write([line(OURS), line(STRANGER, to=ip_address('127.0.0.2')), line(0, to=ip_address('127.0.0.3'))])
    assert f'account {STRANGER}' in judge(tables)[0].why


@pytest.mark.parametrize('lines', [[], OTHERS, [line(0, state='05')], [line(0, inode=0)]])
def test_a_connection_without_a_process_is_refused(write, lines):
    refusal, reasons = judge(write(lines, []))
    assert (refusal.status, reasons) == (403, [])
    assert 'comes from 127.0.0.1 port 4711, and no process' in refusal.why
    assert 'set cron.secret' in refusal.remedy


@pytest.mark.parametrize('name', ['REMOTE_PORT', 'SERVER_PORT'])
@pytest.mark.parametrize('value', [None, '', '0', '65536', '123456', '-1', 'None', '4711, 1', '4711\n'])
def test_without_the_ports_the_address_decides_with_a_warning(write, name, value):
    refusal, (reason,) = judge(write([line(STRANGER)]), **{name: value})
    assert refusal is None
    assert 'REMOTE_PORT' in reason


def test_without_a_table_the_address_decides_with_a_warning(tmp_path):
    refusal, (reason,) = judge((str(tmp_path / 'nowhere'),))
    assert refusal is None
    assert 'nowhere' in reason


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


def test_root_and_the_effective_account_are_trusted():
    before = os.geteuid()
    if before == 0:
        # as another account, because root alone would hide which of the two is missing
        os.seteuid(STRANGER)
    try:
        assert peers.trusted_uids() == {0, os.geteuid()}
        assert len(peers.trusted_uids()) == 2
    finally:
        os.seteuid(before)


def test_an_account_is_shown_with_its_name_if_it_has_one():
    assert peers.account_name(0) == 'root (0)'
    assert peers.account_name(STRANGER) == str(STRANGER)
