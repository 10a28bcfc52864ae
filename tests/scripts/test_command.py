"""What the commands of ``pcron`` have in common."""

import contextlib
import io
import logging
import os

import pytest

from pyramid_cron.scripts.pcron import PCronCommand
from tests.support.pcron import NOW, PURGE, EndingCommand, FixedCommand, TerminalCommand


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


NAMES = ("plain, min=0, name='shop.expire_all'", "plain, min=0, name='shop.mail', was='shop.send'")


@pytest.mark.slow
def test_a_part_of_a_name_is_enough(pcron, ini, night):
    path = ini(*NAMES, settings=night.settings)
    night.task('shop.mail')
    status, out, err = pcron('list', path, 'mail', 'expire')
    assert (status, err) == (0, "pcron: 'mail' is taken for shop.mail\npcron: 'expire' is taken for shop.expire_all\n")
    assert out.count('shop.') == 2
    status, out, err = pcron('run', path, 'mail', 'shop.mail', 'http_port=8080')
    assert (status, err) == (0, "pcron: 'mail' is taken for shop.mail\n")
    assert 'ok       shop.mail, ' in out
    assert pcron('pause', path, 'MAIL', '--reason', 'x')[1:] == (
        'shop.mail is paused until it is resumed\n',
        "pcron: 'MAIL' is taken for shop.mail\n",
    )
    assert pcron('resume', path, 'mail')[1] == 'shop.mail is resumed\n'
    assert pcron('history', path, 'mail', '--by-hand')[1].count('shop.mail, ') == 3


def test_a_former_name_is_that_of_its_task(pcron, ini):
    assert pcron('run', ini(*NAMES), 'shop.send')[2] == "pcron: 'shop.send' is taken for shop.mail\n"


@pytest.mark.parametrize('row', ['shop.send', 'shop.mail', 'shop.letters'])
def test_every_name_of_a_renamed_task_is_its_name(pcron, ini, night, row):
    # by a server with older code, by this one, and by one with newer code
    names = {'shop.send', 'shop.mail', row}
    path = ini(*NAMES, settings=night.settings)
    night.task(row, renamed_from=None if row == 'shop.send' else 'shop.mail' if row == 'shop.letters' else 'shop.send')
    began = NOW.replace(minute=0, second=0)
    night.run(row, began, NOW, outcome='failed', error='ValueError')
    night.change(row, last_outcome='failed', last_outcome_for=began, last_finished=NOW, last_error='ValueError')
    for name in sorted(names):
        warning = '' if name == 'shop.mail' else f'pcron: {name!r} is taken for shop.mail\n'
        status, out, err = pcron('show', path, name)
        assert (status, err) == (0, warning)
        assert out.startswith('shop.mail\n')
        assert 'last due   Thu 2026-12-24 00:00: failed in ' in out
        assert '  last runs  Thu 2026-12-24 00:00' in out
        assert pcron('list', path, '--at', '00:00', name)[1].count('shop.mail  failed in ') == 1
        assert 'failed   ' in pcron('history', path, name)[1]
        assert pcron('pause', path, name, '--reason', 'x')[1:] == ('shop.mail is paused until it is resumed\n', warning)
        assert pcron('resume', path, name)[1:] == ('shop.mail is resumed\n', warning)
        assert pcron('acknowledge', path, name, '--reason', 'x')[1:] == (
            'the failure of shop.mail is acknowledged\n',
            warning,
        )
        for word in (name, f'shop:{name}@2026-12-23T23:00Z'):
            assert pcron('stop', path, word)[2].endswith('task shop.mail is not running: its last run was failed\n')
        assert pcron('forget', path, name)[2].endswith(
            'shop.mail is registered here: remove it from the application first\n'
        )


def test_a_script_does_not_run_another_task(pcron, ini):
    path = ini(*NAMES)
    status, out, err = pcron('run', path, 'shop.expire')
    assert (status, out) == (2, '')
    assert err.startswith("pcron: 'shop.expire' is only a part of a word of shop.expire_all: without a terminal, run ")
    assert pcron('run', path, 'shop.expire', command=TerminalCommand)[::2] == (
        0,
        "pcron: 'shop.expire' is taken for shop.expire_all\n",
    )


@pytest.mark.slow
def test_a_name_in_the_store_alone_is_a_name(pcron, ini, night):
    path = ini(*NAMES, settings=night.settings)
    night.task('old.mail')
    for words in (['run', path, 'mail'], ['show', path, 'mail'], ['forget', path, 'mail'], ['stop', path, 'mail']):
        status, out, err = pcron(*words)
        assert (status, out) == (2, '')
        assert err.endswith('has to be meant: old.mail (not registered here), shop.mail\n')
    assert pcron('forget', path, 'old')[1:] == ('old.mail is forgotten\n', "pcron: 'old' is taken for old.mail\n")
    assert pcron('forget', path, 'mail')[2].endswith(
        'shop.mail is registered here: remove it from the application first\n'
    )


@pytest.mark.slow
def test_a_name_in_the_history_alone_is_a_name(pcron, ini, night):
    path = ini(*NAMES, settings=night.settings)
    night.run('mail', NOW, NOW)
    night.run('shop.mail', NOW, NOW)
    assert pcron('history', path, 'mail')[1:] == (
        'Thu 2026-12-24, Europe/Berlin\n00:07:30  ok         0.000 s  mail, process 4711 on web1\n',
        '',
    )


def test_the_tables_may_not_be_there_yet(pcron, ini, tmp_path):
    path = ini(*NAMES, settings=f'cron.store = sqlite:///{tmp_path}/empty.sqlite')
    assert pcron('history', path, 'mail')[1:] == (
        'Nothing is recorded: no tick has come yet.\n',
        "pcron: 'mail' is taken for shop.mail\n",
    )


def test_a_key_is_no_part_of_a_name(pcron, ini, night):
    path = ini(*NAMES, settings=night.settings)
    night.task('shop.mail')
    key = 'shop:shop.mail@2026-12-24T02:00Z'
    assert pcron('stop', path, key)[0] == 1
    assert pcron('stop', path, 'mail')[0] == 1


@pytest.mark.slow
def test_what_may_go_is_named_by_a_part(pcron, ini, night):
    path = ini(*NAMES, settings=night.settings)
    for name in ('shop.mail', 'shop.expire_all'):
        night.task(name)
    night.task('old.report')
    assert pcron('plan', path)[0] == 3
    assert pcron('plan', path, '--gone', 'report')[::2] == (0, "pcron: 'report' is taken for old.report\n")
    assert pcron('plan', path, '--gone', 'mail')[2].endswith(
        'pcron: --gone shop.mail: it is registered here; leave the option out\n'
    )


def test_a_pipe_has_lines_of_any_length(ini, monkeypatch, capsys):
    command = FixedCommand(['pcron', 'list', ini(PURGE)])
    monkeypatch.setenv('COLUMNS', '50')
    assert command.table_width() == 50
    monkeypatch.delenv('COLUMNS')
    assert command.table_width() > 10**5
    terminal = TerminalCommand(['pcron', 'list', ini(PURGE)])
    assert terminal.table_width() == terminal.width()


def test_a_pipe_is_no_terminal(ini):
    # pytest reads and writes in place of both
    command = PCronCommand(['pcron', 'list', ini(PURGE)])
    assert (command.is_terminal(), command.is_typed()) == (False, False)
