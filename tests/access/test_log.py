import logging

import pytest

from pyramid_cron.access.log import RefusalLog
from pyramid_cron.access.refusal import Refusal
from tests.support.threads import call_meanwhile

PROXY = Refusal(403, 'through a proxy', 'it came through a proxy', 'go without one', purpose='to run cron tasks')
METHOD = Refusal(405, 'by another method', 'the method is HEAD', 'use GET or POST', purpose='to run cron tasks')

ONE = 'refused a request to run cron tasks: it came through a proxy; to allow it, go without one'


@pytest.fixture
def logged(caplog):
    """Return a function that returns the warnings since its last call."""

    def messages():
        assert all(record.levelno == logging.WARNING for record in caplog.records)
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    return messages


def test_a_refusal_is_logged_with_reason_and_remedy(logged):
    refusals = RefusalLog()
    refusals.note(PROXY, 0.0)
    assert logged() == [ONE]


def test_ten_of_a_kind_are_logged_then_their_total(logged):
    refusals = RefusalLog()
    for number in range(25):
        refusals.note(PROXY, 100.0 + number)
    assert logged() == [ONE] * 10
    # the next request logs the total, here the tick of the next minute, which may run tasks
    refusals.note(None, 159.9)
    assert logged() == []
    refusals.note(None, 160.4)
    assert logged() == ['refused 15 more requests to run cron tasks through a proxy in 60 seconds']
    refusals.note(None, 300.0)
    assert logged() == []


def test_a_minute_lasts_exactly_sixty_seconds(logged):
    refusals = RefusalLog()
    for _ in range(11):
        refusals.note(PROXY, 100.0)
    logged()
    refusals.note(None, 160.0)
    assert logged() == ['refused 1 more requests to run cron tasks through a proxy in 60 seconds']


def test_the_next_minute_begins_with_a_logged_refusal(logged):
    refusals = RefusalLog()
    for _ in range(11):
        refusals.note(PROXY, 0.0)
    logged()
    for _ in range(12):
        refusals.note(PROXY, 3600.0)
    assert logged() == ['refused 1 more requests to run cron tasks through a proxy in 3600 seconds', *[ONE] * 10]


def test_ten_or_fewer_have_no_total(logged):
    refusals = RefusalLog()
    for _ in range(10):
        refusals.note(PROXY, 0.0)
    assert len(logged()) == 10
    refusals.note(None, 60.0)
    assert logged() == []


def test_each_kind_is_counted_separately(logged):
    refusals = RefusalLog()
    for number in range(20):
        refusals.note(PROXY._replace(why=f'proxy {number}'), 0.0)
    refusals.note(METHOD, 0.0)
    assert len(logged()) == 11
    refusals.note(METHOD, 60.0)
    assert [text.split(':')[0] for text in logged()] == [
        'refused 10 more requests to run cron tasks through a proxy in 60 seconds',
        'refused a request to run cron tasks',
    ]


def test_requests_of_many_threads_are_counted_once_each(logged):
    refusals, others = RefusalLog(), []

    class Interrupted(str):
        """A kind in the look-up of which a request of another thread comes in."""

        def __hash__(self):
            # without a lock it is counted by then; with the lock it waits for this one
            others.append(call_meanwhile(lambda: refusals.note(PROXY, 0.0)))
            return super().__hash__()

    for _ in range(10):
        refusals.note(PROXY, 0.0)
    refusals.note(PROXY._replace(kind=Interrupted(PROXY.kind)), 0.0)
    for thread in others:
        thread.join()
    assert logged() == [ONE] * 10
    refusals.note(None, 60.0)
    total = 1 + len(others)
    assert logged() == [f'refused {total} more requests to run cron tasks through a proxy in 60 seconds']


def test_an_unknown_account_is_logged_once(logged):
    refusals = RefusalLog()
    refusals.log_unchecked('there is no table')
    refusals.log_unchecked('there is no table')
    (text,) = logged()
    assert 'allowed or refused by their address alone, because there is no table' in text
    assert 'set cron.secret' in text
