"""The scrubbing of texts: by default, by a function of the application, and by one that fails."""

import functools

import pytest
from gevent import GreenletExit

from pyramid_cron.scrub import DEFAULT_SCRUBBER, NOT_SCRUBBED, Scrubbed, Scrubber
from pyramid_cron.statement_parameters import LEFT_OUT
from tests.support.servers import Clock

SHOWN = "UNIQUE constraint failed\n[SQL: INSERT]\n[parameters: ('bob@example.com',)]"
KEPT = f'UNIQUE constraint failed\n[SQL: INSERT]\n{LEFT_OUT}'


def without_bob(text):
    return text.replace('bob', '***')


class Text(str):
    """A text that shows itself as another one."""

    def __str__(self):
        raise LookupError


def raising(exc):
    def scrub(text):
        raise exc

    return scrub


def test_parameters_are_left_out_unless_they_are_to_be_kept():
    assert Scrubber()(SHOWN) == DEFAULT_SCRUBBER(SHOWN) == KEPT
    assert Scrubber(keep_parameters=True)(SHOWN) == SHOWN
    assert Scrubber(without_bob, keep_parameters=True)(SHOWN) == SHOWN.replace('bob', '***')


def test_the_function_receives_what_is_left():
    seen = []

    def scrub(text):
        seen.append(text)
        return 'scrubbed'

    kept = Scrubber(scrub)(SHOWN)
    assert (kept, seen) == ('scrubbed', [KEPT])
    assert type(kept) is Scrubbed


def test_a_text_is_scrubbed_once():
    scrub = Scrubber(lambda text: text + '!')
    kept = scrub(scrub('a'))
    assert kept == 'a!'
    assert scrub(kept) is kept
    # what is made of it is another text
    assert scrub(kept[:1]) == 'a!'


@pytest.mark.parametrize('exc', [LookupError('bob'), RecursionError(), SystemError()])
def test_a_function_that_raises_loses_the_text(caplog, exc):
    assert Scrubber(raising(exc))('bob') == NOT_SCRUBBED
    (record,) = caplog.records
    assert record.levelname == 'ERROR'
    assert record.getMessage().startswith('cron.scrub: ')
    assert record.getMessage().endswith('.raising.<locals>.scrub failed: a text is not kept')


@pytest.mark.parametrize('returned', [None, b'bytes', 5, ['text'], Text('x')], ids=type)
def test_what_is_no_text_is_not_kept(caplog, returned):
    scrub = Scrubber(functools.partial(lambda returned, text: returned, returned))
    assert scrub('bob') == NOT_SCRUBBED
    (record,) = caplog.records
    assert record.levelname == 'ERROR'
    assert 'bob' not in caplog.text


def test_a_function_that_fails_is_logged_once_a_minute(caplog):
    clock = Clock()
    scrub = Scrubber(raising(LookupError()), monotonic=clock)
    for _ in range(8):
        assert scrub('text') == NOT_SCRUBBED
        clock.sleep(15)
    assert len(caplog.records) == 2


@pytest.mark.parametrize('exc', [KeyboardInterrupt(), SystemExit(), GreenletExit()])
def test_what_ends_the_process_passes(exc):
    with pytest.raises(type(exc)):
        Scrubber(raising(exc))('text')
