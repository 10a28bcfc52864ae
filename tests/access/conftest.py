"""No test of access looks up a name; tables of connections are written here."""

import socket

import pytest

from tests.support.tcp_tables import HEADING


@pytest.fixture
def no_name_is_looked_up(monkeypatch):
    # replaced, because a look-up in the DNS cannot be seen in the answer; the original looked up the header Host
    def refuse_to_look_up(*args, **kwargs):
        raise AssertionError(f'looked up {args}')

    for name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex', 'gethostbyaddr', 'getnameinfo', 'getfqdn'):
        monkeypatch.setattr(socket, name, refuse_to_look_up)


@pytest.fixture
def write(tmp_path):
    """Write tables of the form of /proc/net/tcp, each from its lines, and return their paths."""

    def tables(*tables):
        paths = [tmp_path / str(number) for number in range(len(tables))]
        for path, lines in zip(paths, tables, strict=True):
            path.write_text('\n'.join([HEADING, *lines, '']))
        return tuple(map(str, paths))

    return tables
