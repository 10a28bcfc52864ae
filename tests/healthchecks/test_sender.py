"""Pings over real connections to a server of this machine."""

import logging
import os
import subprocess
import sys
import threading

import pytest

from pyramid_cron.healthchecks import sender as module
from pyramid_cron.healthchecks.sender import LONGEST_BODY, MOST_WAITING, Ping, Sender
from tests.support.http_service import running

LONG = 600


@pytest.fixture
def service():
    with running() as service:
        yield service


@pytest.fixture
def logged(caplog):
    """Return a function that returns the level and the text of each line since the last call."""
    caplog.set_level(logging.DEBUG, module.__name__)

    def take():
        found = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return found

    return take


def pings(service, *paths, body=''):
    return [lambda path=path: Ping(f'{service.url}/{path}', body) for path in paths]


def test_pings_arrive_in_their_order(service, logged):
    sender = Sender(LONG)
    for make in pings(service, 'a', 'b?rid=1', 'c', body='späť'):
        sender.send(make)
    sender.flush()
    assert service.received == [('/a', 'späť'), ('/b?rid=1', 'späť'), ('/c', 'späť')]
    assert logged() == []
    # nothing is left to wait for
    sender.flush()


def test_a_host_that_does_not_answer_holds_up_nothing(service):
    service.released.clear()
    sender = Sender(LONG)
    for make in pings(service, 'a', 'b'):
        sender.send(make)
    # here before the answer
    service.called.wait(LONG)
    assert service.received == [('/a', '')]
    service.released.set()
    sender.flush()
    assert service.paths == ['/a', '/b']


def test_a_host_that_does_not_answer_is_given_up(service, logged):
    service.released.clear()
    sender = Sender(0.05)
    [make] = pings(service, 'a')
    sender.send(make)
    thread = sender._thread
    thread.join()
    [(level, text)] = logged()
    assert level == 'WARNING'
    assert text.startswith('a ping to 127.0.0.1 was not received: ')
    # by the connection, or by the request
    assert 'timed out' in text


class Endless:
    """A thread that never ends, without a wait for it: timed waits do not end under faketime."""

    waited = None

    def is_alive(self):
        return True

    def join(self, timeout):
        self.waited = timeout


def test_the_end_of_a_process_waits_for_one_limit():
    sender = Sender(5)
    sender._thread = Endless()
    sender.flush()
    assert sender._thread.waited == 5


def test_what_is_not_received_is_logged_once(service, logged):
    sender = Sender(LONG)
    service.status = 404
    for make in pings(service, 'a', 'b'):
        sender.send(make)
    sender.flush()
    text = 'a ping to 127.0.0.1 was not received: HTTP Error 404: Not Found'
    assert logged() == [('WARNING', text), ('DEBUG', text)]
    service.status = 200
    sender.send(pings(service, 'c')[0])
    sender.flush()
    service.status = 500
    sender.send(pings(service, 'd')[0])
    sender.flush()
    assert [level for level, _ in logged()] == ['WARNING']


def test_an_error_of_a_text_is_logged(logged):
    def fail():
        raise LookupError

    sender = Sender(LONG)
    sender.send(fail)
    sender.flush()
    assert logged() == [('WARNING', 'a ping to the host was not received: LookupError')]


def test_a_long_text_is_cut(service):
    sender = Sender(LONG)
    sender.send(pings(service, 'a', body='x' * (LONGEST_BODY + 1))[0])
    sender.flush()
    assert service.received == [('/a', 'x' * LONGEST_BODY)]


def test_the_oldest_of_too_many_pings_is_dropped(service, logged):
    service.released.clear()
    sender = Sender(LONG)
    first, *others = pings(service, *map(str, range(MOST_WAITING + 3)))
    sender.send(first)
    service.called.wait(LONG)
    for make in others:
        sender.send(make)
    dropped = f'the oldest of {MOST_WAITING} pings that wait is dropped'
    assert logged() == [('WARNING', dropped), ('DEBUG', dropped)]
    service.released.set()
    sender.flush()
    assert service.paths == ['/0', *(f'/{number}' for number in range(3, MOST_WAITING + 3))]


def test_without_a_thread_the_ping_is_logged(service, logged):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    sender = Sender(LONG, start=refuse)
    sender.send(pings(service, 'a')[0])
    sender.flush()
    assert logged() == [('WARNING', "no thread can begin that sends pings: can't start new thread")]
    assert service.received == []


def test_a_forked_process_sends_its_own_pings_alone(service):
    # of another process
    sender = Sender(LONG, start=lambda thread: None)
    sender.send(pings(service, 'parents')[0])
    sender._process = os.getpid() + 1
    sender._start = threading.Thread.start
    sender.send(pings(service, 'own')[0])
    sender.flush()
    assert service.paths == ['/own']


@pytest.mark.slow
@pytest.mark.parametrize('answers', [True, False])
def test_a_process_ends_when_its_ping_is_received_or_given_up(service, answers):
    if not answers:
        service.released.clear()
    limit = LONG if answers else 0.1
    program = (
        'from pyramid_cron.healthchecks.sender import Ping, Sender; '
        f'Sender({limit}).send(lambda: Ping("{service.url}/a", "ok"))'
    )
    done = subprocess.run([sys.executable, '-c', program], check=True, capture_output=True, text=True)
    assert 'Traceback' not in done.stderr
    if answers:
        assert service.received == [('/a', 'ok')]
