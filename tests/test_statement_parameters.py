"""Texts that show exceptions of SQLAlchemy, without the parameters of their statements."""

import builtins
import json
import sys
import time
import traceback

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from pyramid_cron.statement_parameters import LEFT_OUT, START, leave_out_parameters

SECRET = 'bob@example.com'
BACKGROUND = '(Background on this error at: https://sqlalche.me/e/20/gkpj)'


def failed(statement='INSERT INTO mails VALUES (:address)', **values):
    """Return the error of a statement that really failed."""
    engine = create_engine('sqlite://')
    try:
        with engine.begin() as connection:
            connection.execute(text('CREATE TABLE mails (address TEXT UNIQUE)'))
            connection.execute(text(statement), values)
            connection.execute(text(statement), values)
    except StatementError as exc:
        return exc
    finally:
        engine.dispose()


def raised(exc, cause=None):
    try:
        if cause is None:
            raise exc
        raise exc from cause
    except BaseException as caught:
        return caught


class Lines:
    """A value that shows itself in several lines, as a table does."""

    def __init__(self, *lines):
        self.lines = lines

    def __repr__(self):
        return '\n'.join(self.lines)


class Orig(Exception):
    """An error of a driver."""


def error(values, message='duplicate key', kind=IntegrityError):
    statement = 'INSERT INTO mails VALUES (?)'
    if kind is StatementError:
        return StatementError(f'(test.Orig) {message}', statement, values, Orig(message))
    return kind(statement, values, Orig(message))


def chained():
    return raised(RuntimeError('the sync failed'), failed(address=SECRET))


def in_context():
    try:
        raise failed(address=SECRET)
    except IntegrityError:
        return raised(LookupError('nothing was kept'))


def grouped():
    group = builtins.ExceptionGroup
    inner = group('inner', [failed(address=SECRET), ValueError('of its own')])
    return raised(group('outer', [chained(), inner]))


def noted():
    exc = RuntimeError('noted')
    exc.add_note(f'after {failed(address=SECRET)}')
    return raised(exc)


EXCEPTIONS = {
    'a failure': lambda: raised(failed(address=SECRET)),
    'a cause': chained,
    'a context': in_context,
    'in the message of another': lambda: raised(RuntimeError(f'it failed: {failed(address=SECRET)}; and so on')),
    'in a repr': lambda: raised(RuntimeError(repr(str(failed(address=SECRET))))),
    'of a driver in several lines': lambda: raised(error((SECRET,), 'duplicate key\nDETAIL:  it exists\n\nHINT: no')),
    'many': lambda: raised(error([{'address': f'{number}{SECRET}'} for number in range(50)])),
    'with brackets': lambda: raised(error((f']\n{BACKGROUND}\n] {SECRET}',))),
    'with a text of an error': lambda: raised(error({'log': str(failed(address='x')), 'address': SECRET})),
    'in lines': lambda: raised(error((Lines('<a', 'b]', 'c>'), SECRET, Lines('[', f' {SECRET}]')))),
    'without a code': lambda: raised(error((SECRET,), kind=StatementError)),
    'without a code, in lines': lambda: raised(error((Lines('<a', SECRET), 5), kind=StatementError)),
    'connecting': lambda: raised(ValueError('x'), raised(OperationalError(None, None, Orig('refused')))),
}

if sys.version_info >= (3, 11):
    EXCEPTIONS |= {'in groups': grouped, 'in a note': noted}


@pytest.mark.slow
@pytest.mark.parametrize('kind', EXCEPTIONS)
@pytest.mark.parametrize('written', [str, json.dumps, lambda shown: ' '.join(shown.split())])
def test_no_parameter_is_left_in_a_traceback(kind, written):
    exc = EXCEPTIONS[kind]()
    shown = written(''.join(traceback.format_exception(exc)))
    assert SECRET in shown or kind == 'connecting'
    left = leave_out_parameters(shown)
    assert SECRET not in left
    # it does not change any more
    assert leave_out_parameters(left) == left


@pytest.mark.parametrize('kind', EXCEPTIONS)
def test_the_rest_of_a_traceback_stays(kind):
    shown = ''.join(traceback.format_exception(EXCEPTIONS[kind]())).splitlines()
    left = leave_out_parameters('\n'.join(shown)).splitlines()
    assert left[0] == shown[0]
    assert left.count('Traceback (most recent call last):') == shown.count('Traceback (most recent call last):')
    for line in shown:
        if line.lstrip(' |').startswith(('[SQL: ', '(Background on ', 'The above exception', '+-', 'HINT: ')):
            assert line in left


def test_the_message_is_shown_without_values():
    assert leave_out_parameters(str(failed(address=SECRET))).splitlines() == [
        '(sqlite3.IntegrityError) UNIQUE constraint failed: mails.address',
        '[SQL: INSERT INTO mails VALUES (?)]',
        '[parameters: left out]',
        failed(address=SECRET)._code_str(),
    ]


@pytest.mark.parametrize(
    ('shown', 'left'),
    [
        ('nothing of the kind', 'nothing of the kind'),
        # logs go on after an error
        (f"a\n[SQL: x]\n{START}('b',)]\n{BACKGROUND}\nc\nd", f'a\n[SQL: x]\n{LEFT_OUT}\n{BACKGROUND}\nc\nd'),
        (f"a {START}('b',)] {BACKGROUND}\ne", f'a {LEFT_OUT} {BACKGROUND}\ne'),
        # what comes after it in the same line may be a value that looks like an end
        (f"a {START}('b',)] {BACKGROUND} c {START}('d',)]\ne", f'a {LEFT_OUT}\ne'),
        (f"a {START}('b] {BACKGROUND} c', 'd')] {BACKGROUND}", f'a {LEFT_OUT} {BACKGROUND}'),
        (f"a {START}('b] {BACKGROUND} c', 'd')]", f'a {LEFT_OUT}'),
        (f"{START}('b',)]\nc\n{BACKGROUND}", f'{LEFT_OUT}\nc\n{BACKGROUND}'),
        (f"{START}('b',)]\nc\n[SQL: d]\ne", f'{LEFT_OUT}\nc\n[SQL: d]\ne'),
        (f"{START}('b',)]\r\nc", f'{LEFT_OUT}\nc'),
        # where the end cannot be found
        (f"{START}('b',)], and\nc\n[SQL: d]", f'{LEFT_OUT}\n[SQL: d]'),
        (f"{START}('b',\n{BACKGROUND}\nc", f'{LEFT_OUT}\n{BACKGROUND}\nc'),
        (f"{START}('b',\nc\n{START}('d',)]\ne", f'{LEFT_OUT}\n{LEFT_OUT}\ne'),
        (f"{START}('b',\nc", LEFT_OUT),
    ],
)
def test_the_lines_around_parameters_stay(shown, left):
    assert leave_out_parameters(shown) == left


@pytest.mark.parametrize(
    ('shown', 'left'),
    [
        ("no table\nLINE 1: insert into x values ('b')\n                 ^\nc", 'no table\nLINE 1: [left out]\nc'),
        ("no table LINE 1: insert into x values ('b') ^ c", 'no table LINE 1: [left out] ^ c'),
        ('a LINE 12: b [SQL: c]', 'a LINE 12: [left out] [SQL: c]'),
        ('it exists\nDETAIL:  Key (a)=(b) exists.\nHINT:  c', 'it exists\nDETAIL:  [left out]\nHINT:  c'),
        ('it exists DETAIL:  Key (a)=(b) exists. HINT:  c', 'it exists DETAIL:  [left out] HINT:  c'),
        ("(1062, \"Duplicate entry 'b' for key 'a'\")", '(1062, "Duplicate entry \'[left out]'),
        ('invalid input syntax for type integer: "b"\nc', 'invalid input syntax for type integer: "[left out]\nc'),
        ('the last LINE of it: DETAILS, a Duplicate entry', 'the last LINE of it: DETAILS, a Duplicate entry'),
    ],
)
def test_values_in_the_words_of_drivers_are_left_out(shown, left):
    assert leave_out_parameters(shown) == left
    assert leave_out_parameters(left) == left


@pytest.mark.slow
def test_a_long_text_takes_no_long_time():
    words = 'LINE 1: ', 'DETAIL: ', "Duplicate entry '", 'invalid input syntax for type ', ' \n'
    texts = [
        *(word * 20_000 for word in words),
        START * 20_000,
        f'x {START}y\n' * 20_000,
        f'{START}{"]" * 200_000}x',
        START + '] ' * 100_000 + 'x',
    ]
    began = time.process_time()
    for shown in texts:
        leave_out_parameters(shown)
    assert time.process_time() - began < 5
