import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyramid_cron.access.log import Refusal, RefusalLog

PROXY = Refusal(403, 'through a proxy', 'it came through a proxy', 'go without one')
METHOD = Refusal(405, 'by another method', 'the method is HEAD', 'use GET or POST')

ONE = 'refused a request to run cron tasks: it came through a proxy; to allow it, go without one'


@pytest.fixture
def said(caplog):
    """Return what was logged since the last call."""

    def messages():
        assert all(record.levelno == logging.WARNING for record in caplog.records)
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    return messages


def test_a_refusal_is_logged_with_its_reason_and_what_to_do(said):
    refusals = RefusalLog()
    refusals.note(PROXY, 0.0)
    assert said() == [ONE]


def test_ten_of_a_kind_are_logged_in_a_minute_and_then_how_many_more_there_were(said):
    refusals = RefusalLog()
    for number in range(25):
        refusals.note(PROXY, 100.0 + number)
    assert said() == [ONE] * 10
    # the next request sums up, here the tick of the next minute, which may run tasks
    refusals.note(None, 159.9)
    assert said() == []
    refusals.note(None, 160.4)
    assert said() == ['refused 15 more requests to run cron tasks through a proxy in 60 seconds']
    refusals.note(None, 300.0)
    assert said() == []


def test_the_next_minute_begins_with_a_refusal_that_is_logged(said):
    refusals = RefusalLog()
    for _ in range(11):
        refusals.note(PROXY, 0.0)
    said()
    for _ in range(12):
        refusals.note(PROXY, 3600.0)
    assert said() == ['refused 1 more requests to run cron tasks through a proxy in 3600 seconds', *[ONE] * 10]


def test_ten_or_fewer_are_not_summed_up(said):
    refusals = RefusalLog()
    for _ in range(10):
        refusals.note(PROXY, 0.0)
    assert len(said()) == 10
    refusals.note(None, 60.0)
    assert said() == []


def test_each_kind_is_counted_by_itself_whatever_its_requests_say(said):
    refusals = RefusalLog()
    for number in range(20):
        refusals.note(PROXY._replace(why=f'proxy {number}'), 0.0)
    refusals.note(METHOD, 0.0)
    assert len(said()) == 11
    refusals.note(METHOD, 60.0)
    assert [text.split(':')[0] for text in said()] == [
        'refused 10 more requests to run cron tasks through a proxy in 60 seconds',
        'refused a request to run cron tasks',
    ]


def test_requests_of_many_threads_are_counted_once_each(said):
    refusals = RefusalLog()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: refusals.note(PROXY, 0.0), range(2000)))
        assert said() == [ONE] * 10
        list(threads.map(lambda number: refusals.note(None, 60.0), range(100)))
    assert said() == ['refused 1990 more requests to run cron tasks through a proxy in 60 seconds']


def test_that_nothing_can_be_checked_is_said_once(said):
    refusals = RefusalLog()
    refusals.unchecked('there is no table')
    refusals.unchecked('there is no table')
    (text,) = said()
    assert 'judged by their address alone, because there is no table' in text
    assert 'set cron.secret' in text
