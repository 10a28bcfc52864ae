import errno
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from pyramid_cron.doctor import request
from pyramid_cron.doctor.address import Address
from pyramid_cron.doctor.request import LOW_PORTS, connect, send
from tests.support.answering import answering
from tests.support.requirements import lacking


@pytest.fixture
def server():
    """Redirects."""
    with answering('\xffx', 302, Location='/elsewhere') as server:
        yield server


def address_of(server, **values):
    return Address('http', 'localhost', server.server_port, '/cron')._replace(**values)


def test_the_request_requests_only_a_check(server, monkeypatch):
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
    answer = send(address_of(server))
    [(path, headers, _)] = server.seen
    assert path == '/cron?check'
    assert headers['Host'] == f'localhost:{server.server_port}'
    assert 'Authorization' not in headers
    # the redirect is not followed
    assert answer[:3] == (302, '\ufffdx', '/elsewhere')
    assert answer.server.startswith('BaseHTTP')


def test_the_secret_is_a_header(server):
    send(address_of(server), 's\xe9cret'.encode())
    assert server.seen[0][1]['Authorization'].encode('latin-1') == 'Bearer s\xe9cret'.encode()


def test_an_answer_in_many_parts_is_not_waited_for(server):
    with pytest.raises(TimeoutError):
        send(address_of(server), seconds=0)


def test_a_server_that_never_answers_is_not_waited_for():
    with socket.create_server(('127.0.0.1', 0)) as listening, pytest.raises(TimeoutError):
        send(Address('http', '127.0.0.1', listening.getsockname()[1], '/cron'), seconds=0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may use ports below 1024')
def test_root_comes_from_a_low_port(server):
    send(address_of(server), from_low_port=True)
    send(address_of(server))
    assert [client[1] in LOW_PORTS for _, _, client in server.seen] == [True, False]


def test_root_connects_as_another_account(server):
    own = os.geteuid()
    # only root may become another one
    other = 65534 if own == 0 else own
    for uid, owner in {other: other, None: own}.items():
        with connect(address_of(server), uid=uid) as sock:
            # as the kernel shows it in its table of connections
            assert os.fstat(sock.fileno()).st_uid == owner
    assert os.geteuid() == own


def test_a_taken_port_is_not_the_end(server, monkeypatch):
    # as for an account that may not use them
    monkeypatch.setattr(request, 'LOW_PORTS', range(server.server_port, server.server_port + 1))
    with socket.socket() as probe, pytest.raises(OSError, match='in use') as taken:
        probe.bind(('', server.server_port))
    assert taken.value.errno == errno.EADDRINUSE
    assert send(address_of(server), from_low_port=True).status == 302


def test_no_server_is_an_error(server):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        with pytest.raises(ConnectionRefusedError):
            send(address_of(server, port=unused.getsockname()[1]), from_low_port=True)


@pytest.mark.slow
def test_a_certificate_is_verified(tmp_path, monkeypatch):
    if shutil.which('openssl') is None:
        lacking('openssl is not installed')
    certificate, key = tmp_path / 'certificate', tmp_path / 'key'
    subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '36500']
    made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate]
    subprocess.run(['openssl', 'req', '-x509', *made, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering('ok', context=context) as server:
        address = address_of(server, scheme='https')
        with pytest.raises(ssl.SSLCertVerificationError):
            send(address)
        monkeypatch.setenv('SSL_CERT_FILE', str(certificate))
        assert send(address).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            send(address._replace(host='127.0.0.1'))


def test_a_unix_socket_is_requested(tmp_path):
    path = str(tmp_path / 's')
    with answering('ok', unix=path) as server:
        assert send(Address('http', 'localhost', 80, '/cron', path)).status == 200
    assert server.seen[0][1]['Host'] == 'localhost'
    with pytest.raises(FileNotFoundError):
        send(Address('http', 'localhost', 80, '/cron', f'{path}.not'))
