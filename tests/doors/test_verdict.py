import pytest

from tests.doors.accounts import OTHER, OWN, ROOT
from tests.doors.clients import CLIENTS
from tests.doors.verdict import BY_ADDRESS, LET_IN, NO_ANSWER, OWN_FRONT, SHUT_OUT, Cell


def found(status, client, through=None, setting='default', sets_port=True):
    by_name = {client.name: client for client in CLIENTS[setting]}
    return Cell('server', 'front', through, setting, by_name[client], status, sets_port).finding()


@pytest.mark.parametrize('client', ['stranger', 'root', 'forged', 'example', 'HEAD'])
@pytest.mark.parametrize('through', [None, ROOT, OTHER])
def test_letting_in_a_client_that_is_not_trusted_is_wrong(client, through):
    assert found(200, client, through) == LET_IN
    assert found(403, client, through) is None


@pytest.mark.parametrize('client', ['own', 'root low'])
def test_trusted_clients_have_to_be_let_in(client):
    assert found(200, client) is None
    assert found(403, client) == SHUT_OUT


def test_a_server_without_the_port_may_refuse_its_own_account():
    assert found(403, 'own', sets_port=False) is None
    assert found(403, 'own', sets_port=False, setting='unchecked') == SHUT_OUT


def test_what_the_servers_account_passes_on_is_right():
    assert found(200, 'stranger', OWN) == OWN_FRONT
    assert found(403, 'stranger', OWN) is None


def test_with_a_secret_nothing_else_decides():
    assert found(200, 'own', setting='secret') == LET_IN
    assert found(401, 'own', setting='secret') is None
    assert found(200, 'bearer', OTHER, 'secret') is None
    assert found(403, 'bearer', OTHER, 'secret') == SHUT_OUT


def test_without_peer_check_address_and_host_decide():
    assert found(200, 'stranger', setting='unchecked') == BY_ADDRESS
    assert found(200, 'example', OTHER, 'unchecked') == BY_ADDRESS
    assert found(200, 'example', setting='unchecked') == LET_IN


@pytest.mark.parametrize('status', [0, 500, 502])
def test_a_request_without_an_answer_proves_nothing(status):
    assert found(status, 'stranger') == NO_ANSWER
