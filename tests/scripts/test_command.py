"""What the commands of ``pcron`` have in common."""

import contextlib
import io
import logging
import os

import pytest

from tests.support.pcron import PURGE, EndingCommand, FixedCommand


def test_variables_may_stand_among_the_arguments(pcron, ini):
    path = ini(PURGE, settings='cron.timezone = %(zone)s')
    status, out, _ = pcron('run', path, 'purge', 'zone=Asia/Tokyo')
    assert (status, out[:22]) == (0, '2026-12-24 08:07+09:00')
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00', 'zone=Asia/Tokyo', 'purge')
    assert (status, out[:25]) == (0, 'At 2026-12-24 00:00+09:00')


def test_run_needs_a_name(pcron, ini):
    assert pcron('run', ini(PURGE)) == (2, '', "pcron: name the tasks to run; 'pcron list' shows their names\n")


@pytest.mark.parametrize('command', ['list', 'tick', 'run', 'work'])
def test_a_missing_file_is_refused(pcron, command, tmp_path):
    path = tmp_path / 'missing.ini'
    assert pcron(command, str(path)) == (2, '', f'pcron: there is no file {path}\n')


def test_what_is_no_configuration_is_refused(pcron):
    status, out, err = pcron('list', 'nothing')
    assert (status, out) == (2, '')
    assert err.startswith('pcron: ')
    assert '"nothing"' in err


@pytest.mark.parametrize('command', ['tick', 'work'])
def test_a_word_that_is_no_variable_is_refused(pcron, ini, command):
    status, out, err = pcron(command, ini(PURGE), 'word')
    assert (status, out) == (2, '')
    assert "'word'" in err


def test_an_unknown_option_ends_with_2(pcron, capsys):
    with pytest.raises(SystemExit, match='2'):
        pcron('list', 'x.ini', '--colour')
    assert 'unrecognized arguments: --colour' in capsys.readouterr().err


def test_a_pipe_that_is_closed_ends_it_quietly(pcron, ini, capsys):
    path = ini(PURGE, "fails, min='*'")
    for command, expected in (('list', 0), ('tick', 1)):
        read, write = os.pipe()
        os.close(read)
        with open(write, 'w') as file, contextlib.redirect_stdout(file):
            # as in | head
            assert FixedCommand(['pcron', command, path]).run() == expected
    assert capsys.readouterr() == ('', '')


LOGGING = """
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = WARNING
handlers =
"""


def test_an_application_that_configures_logging_keeps_its_configuration(pcron, ini, caplog):
    path = ini(PURGE)
    with open(path, 'a') as file:
        file.write(LOGGING)
    assert pcron('work', path, command=EndingCommand)[0] == 0
    assert logging.getLogger('pyramid_cron').level == logging.NOTSET
    assert caplog.messages == []


@pytest.mark.parametrize(
    ('encoding', 'shown'),
    [('ascii', r'f\xfcr \u2713 \x1b[31m'), ('latin-1', r'für \u2713 \x1b[31m'), ('utf-8', r'für ✓ \x1b[31m')],
)
def test_what_a_terminal_cannot_show_is_escaped(ini, encoding, shown):
    output = io.BytesIO()
    terminal = io.TextIOWrapper(output, encoding)
    with contextlib.redirect_stdout(terminal):
        command = FixedCommand(['pcron', 'list', ini(PURGE)])
        command.out('für ✓ \x1b[31m\n\tmore')
    assert output.getvalue().decode(encoding) == f'{shown}\n\tmore\n'


def test_an_error_has_no_control_characters(ini, capsys):
    FixedCommand(['pcron', 'list', ini(PURGE)]).warn('no \x1b[31m')
    assert capsys.readouterr() == ('', 'pcron: no \\x1b[31m\n')
