"""Texts from outside in terminals, logs and records."""

import logging

import pytest

from pyramid_cron import printable
from tests.support.exceptions import Refused


def test_control_characters_are_escaped():
    assert printable.printable('\x1b[31m a\tb\n\x00\x7f\x9b\u202e\u2066\u2028\ud83d') == (
        r'\x1b[31m a\tb\n\x00\x7f\x9b\u202e\u2066\u2028\ud83d'
    )


@pytest.mark.parametrize('text', ['', 'plain', 'für 明日 😀', r'C:\n'])
def test_other_characters_stay(text):
    assert printable.printable(text) == printable.printable_lines(text) == text


def test_lines_and_tabs_of_a_traceback_stay():
    assert printable.printable_lines('a\n\tb\r\x1b\n\u2029') == 'a\n\tb\\r\\x1b\n\\u2029'


@pytest.mark.parametrize(
    ('encoding', 'shown'),
    [('ascii', r'f\xfcr \u2713'), ('latin-1', r'für \u2713'), ('utf-8', 'für ✓'), (None, 'für ✓')],
)
def test_what_an_encoding_lacks_is_escaped(encoding, shown):
    assert printable.encodable('für ✓', encoding) == shown


@pytest.mark.parametrize(
    ('text', 'line'),
    [('', None), (' \r\n\t', None), ('\n one\x1b \ntwo', r'one\x1b'), ('x' * 501, 'x' * 500)],
)
def test_the_first_line_of_a_text_is_the_first_that_is_not_empty(text, line):
    assert printable.first_line(text) == line


def test_the_name_of_a_user_fits_its_column():
    assert printable.user_name('\x1b' + 'x' * 300) == r'\x1b' + 'x' * 251
    assert printable.user_name(7) == '7'


def test_the_class_of_an_exception_is_escaped_and_cut():
    kind = type('\x1b' + 'X' * 300, (Exception,), {})
    assert printable.class_name(kind()) == r'\x1b' + 'X' * 251


def test_a_class_that_refuses_its_name_has_one():
    assert printable.class_name(Refused()) == 'Refused'


def test_a_message_is_one_line():
    assert printable.message(LookupError('a\n\x1b  b')) == r'a \x1b b'
    assert printable.message(Refused()) == 'its message cannot be shown'


@pytest.mark.parametrize(
    ('exc', 'message'),
    [
        (None, 'task a failed'),
        (LookupError('why'), 'task a failed'),
        (Refused(), 'task a failed: Refused, which cannot be shown'),
    ],
    ids=['none', 'usual', 'refused'],
)
def test_an_error_is_logged_whatever_its_exception_is(caplog, exc, message):
    class Formatting(logging.Handler):
        def emit(self, record):
            self.format(record)

    handler, log = Formatting(), logging.getLogger('pyramid_cron.runner')
    log.addHandler(handler)
    try:
        printable.log_error(log, exc, 'task %s failed', 'a', failed_task='a')
    finally:
        log.removeHandler(handler)
    assert caplog.messages == [message]
    assert {record.module for record in caplog.records} == {'test_printable'}
    assert {record.cron_failed_task for record in caplog.records} == {'a'}


def test_an_error_of_the_log_itself_passes():
    def refuse(record):
        raise LookupError('the log is broken')

    log = logging.getLogger('pyramid_cron.runner')
    log.addFilter(refuse)
    try:
        with pytest.raises(LookupError, match='the log is broken'):
            printable.log_error(log, None, 'the run failed')
    finally:
        log.removeFilter(refuse)
