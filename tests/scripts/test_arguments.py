"""The arguments of ``pcron``, and the times that they name."""

import argparse
from importlib.metadata import version

import pytest

from pyramid_cron.scripts.pcron import PCronCommand, main
from tests.support.pcron import PURGE


@pytest.mark.slow
@pytest.mark.parametrize(
    ('at', 'message'),
    [
        ('tomorrow', "--at 'tomorrow' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('2026-02-30 00:00', "--at '2026-02-30 00:00' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('0001-01-01 00:00', "--at '0001-01-01 00:00' is not in the years 1970 to 9998"),
        ('9999-12-31 23:59', "--at '9999-12-31 23:59' is not in the years 1970 to 9998"),
        ('2026-03-29 02:30', "--at '2026-03-29 02:30' is a time that the clocks skip in Europe/Berlin"),
    ],
)
@pytest.mark.parametrize('command', ['list', 'tick'])
def test_a_bad_time_is_refused(pcron, ini, command, at, message):
    assert pcron(command, ini(PURGE), '--at', at) == (2, '', f'pcron: {message}\n')


@pytest.mark.parametrize(
    ('word', 'hint'),
    [
        ('prge', '; is myapp.tasks.purge meant?'),
        ('myapp.task.purge', '; is myapp.tasks.purge meant?'),
        ('myapp.tasks.plainer', '; is plain meant?'),
        ('myapp.tasks.other', "; 'pcron list' shows their names"),
        ('something', "; 'pcron list' shows their names"),
    ],
)
def test_an_unknown_task_is_refused_with_close_names(pcron, ini, word, hint):
    path = ini("purge, min='*', name='myapp.tasks.purge'", "plain, min='*', name='plain'")
    assert pcron('run', path, 'plain', word) == (2, '', f'pcron: no cron task is named {word!r}{hint}\n')


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['list'],
        ['dance', 'x.ini'],
        *(['list', 'x.ini', '--next', number] for number in ('0', '-1', 'x', 'nan', '1e6', '1000001', '9' * 5000)),
        ['history', 'x.ini', '--limit', str(2**63)],
    ],
)
def test_arguments_that_make_no_sense_end_with_2(pcron, argv):
    with pytest.raises(SystemExit, match='2'):
        pcron(*argv)


def test_the_help_names_the_commands():
    text = PCronCommand.parser.format_help()
    assert isinstance(PCronCommand.parser, argparse.ArgumentParser)
    commands = ('list', 'show', 'running', 'tick', 'run', 'work', 'history', 'pause', 'resume', 'store')
    assert all(f'\n    {command} ' in text for command in commands)


def test_each_command_takes_verbose():
    for words in (['list'], ['show'], ['tick'], ['run'], ['work'], ['history'], ['doctor'], ['store', 'check']):
        assert PCronCommand.parser.parse_args([*words, 'x.ini', '-v']).verbose


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['pcron', '--version'])
    assert capsys.readouterr().out == f'pyramid_cron {version("pyramid_cron")}\n'
