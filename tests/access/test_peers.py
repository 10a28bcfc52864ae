"""The account behind a connection, from tables written here and from the kernel's for real connections."""

import contextlib
import os
import socket
import struct
from ipaddress import ip_address

import pytest

from pyramid_cron.access import peers
from pyramid_cron.access.addresses import parse_address
from tests.support.tcp_tables import LOCAL, MAPPED, PORT, SERVER_PORT, STRANGER, line

# the server's end of the connection, and other connections of the machine
OTHERS = [
    line(STRANGER, port=SERVER_PORT, to_port=PORT),
    line(STRANGER, port=SERVER_PORT, to=ip_address('0.0.0.0'), to_port=0, state='0A'),
    line(STRANGER, port=PORT + 1),
    line(STRANGER, address=ip_address('127.0.0.2')),
]
# the server's end after the client has ended its own
HUNG_UP = line(0, port=SERVER_PORT, to_port=PORT, state='08')


def owner_uids(*where):
    """Return the uids, none if the peer has ended a connection."""
    owners = peers.find_owners(*where)
    return set() if owners.has_ended else owners.uids


@pytest.mark.parametrize('uid', [0, 1, 1000, 65534, 4294967294])
def test_the_owner_of_the_peers_end_is_found_among_others(write, uid):
    tables = write([*OTHERS, line(uid), *OTHERS], [])
    assert owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {uid}


def test_an_ipv4_connection_may_belong_to_an_ipv6_socket(write):
    tables = write(OTHERS, [line(7, address=MAPPED)])
    assert owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {7}


def test_connections_of_both_tables_count(write):
    tables = write([line(7)], [line(STRANGER, address=MAPPED)])
    assert owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {7, STRANGER}


def test_a_missing_table_is_skipped(write, tmp_path):
    address = ip_address('::1')
    (table,) = write([line(STRANGER, address=MAPPED), line(7, address=address)])
    assert owner_uids(address, PORT, SERVER_PORT, (str(tmp_path / 'none'), table)) == {7}


@pytest.mark.parametrize('state', ['02', '03', '04', '05', '06', '07', '08', '09', '0A', '0B', '0C'])
def test_a_connection_that_is_not_open_has_no_owner(write, state):
    assert owner_uids(LOCAL, PORT, SERVER_PORT, write([line(0, state=state)])) == set()


def test_a_socket_without_a_process_is_not_roots(write):
    assert owner_uids(LOCAL, PORT, SERVER_PORT, write([line(0, inode=0)])) == set()


@pytest.mark.parametrize('other', [{'to': ip_address('127.0.0.2')}, {'to_port': 5432}], ids=['address', 'port'])
def test_every_connection_of_the_port_counts(write, other):
    tables = write([line(0), line(STRANGER, **other)])
    assert owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {0, STRANGER}


@pytest.mark.parametrize('ended', [[line(0, state='05', inode=0)], []], ids=['closing', 'gone'])
def test_an_ended_connection_hides_behind_no_other(write, ended):
    assert owner_uids(LOCAL, PORT, SERVER_PORT, write([*ended, HUNG_UP, line(0, to_port=5432)])) == set()
    # also if the server listens for IPv6
    hung_up = line(0, address=MAPPED, port=SERVER_PORT, to_port=PORT, state='08')
    assert owner_uids(LOCAL, PORT, SERVER_PORT, write([*ended, line(0, to_port=5432)], [hung_up])) == set()


def test_without_any_table_the_error_names_one(tmp_path):
    with pytest.raises(OSError, match='nowhere'):
        owner_uids(LOCAL, PORT, SERVER_PORT, (str(tmp_path / 'nowhere'), str(tmp_path / 'neither')))


@pytest.mark.parametrize(
    ('family', 'listening', 'target'),
    [
        (socket.AF_INET, '127.0.0.1', '127.0.0.1'),
        (socket.AF_INET6, '::1', '::1'),
        (socket.AF_INET6, '::ffff:127.0.0.1', '127.0.0.1'),
    ],
)
@pytest.mark.parametrize('end', [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)])
def test_the_kernel_shows_our_account_for_our_connection(family, listening, target, end):
    with socket.socket(family) as server:
        server.bind((listening, 0))
        server.listen()
        client = socket.create_connection((target, server.getsockname()[1]))
        accepted, (peer, port, *_) = server.accept()
        server_port = server.getsockname()[1]
        with client, accepted:
            assert owner_uids(parse_address(peer), port, server_port) == {os.geteuid()}
            # a client that does not wait for the answer: from here on the kernel may show uid 0
            end(client)
            assert owner_uids(parse_address(peer), port, server_port) == set()


@pytest.fixture
def shared():
    """Two connections from one port of ours to two servers of ours: the clients, and the ends of the servers."""
    with contextlib.ExitStack() as stack:
        clients, ends = [], []
        for _ in range(2):
            server = stack.enter_context(socket.create_server(('127.0.0.1', 0)))
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            client.bind(clients[0].getsockname() if clients else ('127.0.0.1', 0))
            client.connect(server.getsockname())
            clients.append(client)
            ends.append(stack.enter_context(server.accept()[0]))
        yield clients, ends


def test_the_connection_that_this_process_serves_is_meant(shared, write):
    clients, ends = shared
    port = clients[0].getsockname()[1]
    lines = {end.getsockname()[1]: os.fstat(end.fileno()).st_ino for end in ends}
    # as if the first connection had a server of another account
    (mine, inode), (other, _) = lines.items()
    tables = write(
        [
            line(7, port=port, to_port=mine),
            line(7, port=mine, to_port=port, inode=inode),
            line(STRANGER, port=port, to_port=other),
            line(STRANGER, port=other, to_port=port, inode=1),
        ]
    )
    assert owner_uids(LOCAL, port, mine, tables) == {7}


def test_an_ended_connection_of_the_kernel_hides_behind_no_other(shared):
    clients, ends = shared
    port = clients[0].getsockname()[1]
    server_port = ends[1].getsockname()[1]
    assert owner_uids(LOCAL, port, server_port) == {os.geteuid()}
    clients[1].close()
    # the other one is open, and is of this account too
    assert peers.find_owners(LOCAL, port, server_port) == ({os.geteuid()}, True)


def test_a_reset_connection_hides_behind_no_other(shared):
    """Nothing is left of it, and the other one is open and of this account."""
    clients, ends = shared
    port, server_port = clients[1].getsockname()[1], ends[1].getsockname()[1]
    clients[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    clients[1].close()
    assert peers.find_owners(LOCAL, port, server_port) == (frozenset(), False)
    assert owner_uids(LOCAL, port, ends[0].getsockname()[1]) == {os.geteuid()}


@pytest.mark.parametrize('files', [peers.OWN_FILES, '/nowhere'])
def test_where_this_process_serves_none_all_are_meant(write, monkeypatch, files):
    # no system has the tables and not this
    monkeypatch.setattr(peers, 'OWN_FILES', files)
    tables = write([line(7), line(STRANGER, to_port=5432), line(0, port=5432, to_port=PORT)])
    assert owner_uids(LOCAL, PORT, SERVER_PORT, tables) == {7, STRANGER}


def test_an_account_is_shown_with_its_name_if_it_has_one():
    assert peers.account_name(0) == 'root (0)'
    assert peers.account_name(STRANGER) == str(STRANGER)


@pytest.mark.parametrize(
    ('uid', 'uid_map', 'expected'),
    [
        (65534, '         0          0 4294967295\n', False),
        (65534, '     65534          0          1\n', True),
        (65534, '         0       1000          1\n', True),
        (1000, '     65534          0          1\n', False),
    ],
)
def test_the_uid_of_unmapped_accounts_stands_for_others(tmp_path, uid, uid_map, expected):
    paths = tmp_path / 'uid_map', tmp_path / 'overflowuid'
    for path, text in zip(paths, (uid_map, '65534\n'), strict=True):
        path.write_text(text)
    assert peers.stands_for_others(uid, *map(str, paths)) is expected


def test_without_these_files_no_uid_stands_for_others(tmp_path):
    assert not peers.stands_for_others(65534, str(tmp_path / 'none'), str(tmp_path / 'none'))
