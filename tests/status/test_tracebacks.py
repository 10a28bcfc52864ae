"""Tracebacks with their ends first."""

import traceback

import pytest

from pyramid_cron.status.tracebacks import end_first


def raise_deep(depth):
    if depth:
        raise_deep(depth - 1)
    raise LookupError('no\nsuch  thing')


def text_of(function):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function()
    return ''.join(traceback.format_exception(caught.value))


def functions(frames):
    return [line.rpartition(' ')[2] for line in frames.splitlines() if line.startswith('  File "')]


def test_the_innermost_frame_comes_first():
    text = text_of(lambda: raise_deep(2))
    raised, frames = end_first(text)
    assert raised == 'LookupError: no\nsuch  thing'
    assert functions(frames) == ['raise_deep', 'raise_deep', 'raise_deep', '<lambda>', 'text_of']
    assert frames.splitlines()[1] == "    raise LookupError('no\\nsuch  thing')"
    assert sorted(frames.splitlines()) == sorted(text.splitlines()[1:-2])


def test_the_cause_comes_after_what_it_has_caused():
    def with_cause():
        try:
            raise_deep(0)
        except LookupError as exc:
            raise ValueError('bad') from exc

    def while_handled():
        try:
            with_cause()
        except ValueError:
            raise_again()

    def raise_again():
        raise OSError('disk')

    raised, frames = end_first(text_of(while_handled))
    assert raised == 'OSError: disk'
    assert functions(frames) == [
        *('raise_again', 'while_handled', 'text_of'),
        *('with_cause', 'while_handled'),
        *('raise_deep', 'with_cause'),
    ]
    lines = frames.splitlines()
    first = lines.index('It was raised while this was handled:')
    assert lines[first - 1 : first + 2] == ['', 'It was raised while this was handled:', 'ValueError: bad']
    second = lines.index('Its direct cause:')
    assert lines[second + 1 : second + 3] == ['LookupError: no', 'such  thing']
    assert first < second


def test_a_repeated_frame_keeps_its_number():
    assert '[Previous line repeated' in end_first(text_of(lambda: raise_deep(9))).frames.partition('<lambda>')[0]


@pytest.mark.parametrize('text', ['', 'one line', 'two\nlines'])
def test_another_text_stays_as_it_is(text):
    assert end_first(text) == (text, '')


def test_a_group_of_exceptions_stays_as_it_is():
    text = (
        '  + Exception Group Traceback (most recent call last):\n  |   File "a.py", line 1, in f\n  | ExceptionGroup: x'
    )
    assert end_first(text) == (text, '')


def test_of_a_traceback_that_was_cut_the_rest_is_shown():
    text = ' in f\n    g()\n  File "b.py", line 2, in g\n    raise X\nX\n'
    assert end_first(text) == ('X', '  File "b.py", line 2, in g\n    raise X')


def test_an_exception_may_have_no_line_of_its_own():
    assert end_first('  File "b.py", line 2, in g\n    raise X\n') == ('', '  File "b.py", line 2, in g\n    raise X')
