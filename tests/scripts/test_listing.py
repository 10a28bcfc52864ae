"""The lines that ``pcron list`` prints."""

import json
from datetime import datetime

import pytest

from pyramid_cron.scripts.columns import width_of
from pyramid_cron.scripts.pcron import PCronCommand
from tests.support.night import Night, at
from tests.support.pcron import END, PURGE, REPORT, UTC, TerminalCommand


def test_the_list_has_the_next_task_first(pcron, ini):
    status, out, err = pcron('list', ini(REPORT, PURGE))
    assert (status, err) == (0, '')
    assert out == (
        'NEXT RUN                  TASK    SCHEDULE\n'
        '02:00      in 1 h 53 min  purge   0 2 * * *\n'
        'Mon 13:00  in 4 d 12 h    report  */30 7 * * mon America/New_York\n' + END[1:]
    )


MANY = [
    f"plain, min={number}, hour=9, name='shop.maintenance.of_something.task_number_{number}'" for number in range(30)
]


@pytest.mark.parametrize('columns', [40, 80, 120])
def test_thirty_tasks_are_about_thirty_lines_that_fit(pcron, ini, columns):
    _, out, _ = pcron('list', ini(*MANY), columns=columns, command=TerminalCommand)
    lines = out.splitlines()
    assert len(lines) in (33, 34)
    assert max(map(len, lines)) <= columns
    assert [line[:5] for line in lines[1:31]] == [f'09:{number:02}' for number in range(30)]
    assert all(line.rstrip().endswith(f'_{number}') for number, line in enumerate(lines[1:31])) is (columns == 40)


def test_what_is_long_is_shortened_in_its_middle(pcron, ini):
    name = '.'.join(['a_long_name'] * 10)
    minutes = '1,2,4,8,16,32,3,5,9,17,33,7,15,31,6,14,30,10,20,40,11,21,41,12,22,42,13,23,43'
    task = f"purge, cron='{minutes} 10 1-15 jan,feb,mar,apr mon,tue,wed', name='{name}'"
    assert pcron('list', ini(task), command=TerminalCommand)[1].splitlines()[1] == (
        '2027-01-01 10:01  in 8 d 9 h  a_long_name...me.a_long_name  1,2,4,8,...n,tue,wed'
    )
    [line] = pcron('list', ini(task), columns=40, command=TerminalCommand)[1].splitlines()[1:2]
    assert line == '2027-01-01  a_long_name...me.a_long_name'
    # no line can be as short as that
    [line] = pcron('list', ini(task), columns=10, command=TerminalCommand)[1].splitlines()[1:2]
    assert line == '2027-01-01  a_...ame'


def test_the_docstring_is_shown_with_verbose(pcron, ini):
    path = ini(PURGE, "plain, min=3, name='plain'")
    assert 'Delete' not in pcron('list', path)[1]
    assert pcron('list', path, '-v')[1] == (
        'NEXT RUN                 TASK   SCHEDULE\n'
        '01:03     in 56 min      plain  3 * * * *\n'
        '02:00     in 1 h 53 min  purge  0 2 * * *\n'
        '    Delete what is old.\n' + END[1:]
    )


def test_next_shows_that_many_runs_of_whichever_tasks(pcron, ini):
    path = ini("plain, min=8, name='plain'", "purge, min='20', hour=1, name='a.rather.long.name.of.a.task'")
    assert pcron('list', path, '--next', '4')[1] == (
        'Thu 2026-12-24 00:08 +01:00  in 1 min       plain\n'
        'Thu 2026-12-24 01:08 +01:00  in 1 h 1 min   plain\n'
        'Thu 2026-12-24 01:20 +01:00  in 1 h 13 min  a.rather.long.name.of.a.task\n'
        'Thu 2026-12-24 02:08 +01:00  in 2 h 1 min   plain\n' + END[1:]
    )
    narrow = pcron('list', path, '--next', '3', columns=40, command=TerminalCommand)[1].splitlines()
    assert narrow[2] == 'Thu 2026-12-24 01:20 +01:00  a.ra...task'
    # no name is cut in a pipe
    assert pcron('list', path, '--next', '3', columns=40)[1].splitlines()[2].endswith('  a.rather.long.name.of.a.task')
    assert len(pcron('list', path, '--next', '40')[1].splitlines()) == 42


def test_the_time_until_a_run_is_elapsed_time(pcron, ini):
    _, out, _ = pcron('list', ini("plain, min=0, name='plain'"), '--at', '2026-10-25 01:30', '--next', '3')
    assert [line[15:] for line in out.splitlines()[:3]] == [
        '02:00 +02:00  in 30 min      plain',
        '02:00 +01:00  in 1 h 30 min  plain',
        '03:00 +01:00  in 2 h 30 min  plain',
    ]


def test_a_task_without_next_run_comes_last(pcron, ini):
    class Late(PCronCommand):
        now = staticmethod(lambda: datetime(9998, 12, 30, 12, 0, tzinfo=UTC))

    path = ini("plain, cron='0 0 1 1 *', name='never'", "plain, cron='0 0 31 12 *', name='last'")
    _, out, _ = pcron('list', path, command=Late)
    assert [line.split() for line in out.splitlines()[1:3]] == [
        ['Thu', '00:00', 'in', '11', 'h', 'last', '0', '0', '31', '12', '*'],
        ['never', 'never', '0', '0', '1', '1', '*'],
    ]
    assert pcron('list', path, 'never', '--next', '2', command=Late)[1] == END[1:]


def test_a_long_reason_is_cut(pcron, ini):
    path = ini(
        "plain, cron='1,3,5,7,9,11,13,15,17 1,3,5,7,9 1,3,5,7,9 1,3,5 *', name='a.name.that.is.rather.long.indeed'"
    )
    lines = pcron('list', path, '--at', '2026-12-24 00:01')[1].splitlines()
    assert lines[0] == 'At 2026-12-24 00:01+01:00, 0 of 1 tasks are due.'
    assert pcron('list', path, '--at', '00:00', command=TerminalCommand)[1].splitlines()[1] == (
        'not due  a.name.tha...long.indeed  min is 0, not 1-17/2; hour is 0, not 1-9/2...'
    )
    narrow = pcron('list', path, '--at', '00:00', columns=40, command=TerminalCommand)[1].splitlines()
    assert narrow[1] == 'not due  a.name.that.is...er.long.indeed'
    whole = pcron('list', path, '--at', '00:00', columns=40)[1].splitlines()[1]
    assert whole == (
        'not due  a.name.that.is.rather.long.indeed  min is 0, not 1-17/2; hour is 0, not 1-9/2; day is 24, not 1-9/2; '
        'month is 12, not 1-5/2'
    )


WIDE = [
    f"plain, min={number}, hour=9, name='月次レポート・売上・{city}・集計'" for number, city in enumerate('東西南北')
]


@pytest.mark.parametrize('columns', [60, 80])
def test_wide_characters_are_aligned_and_fit(pcron, ini, columns):
    lines = pcron('list', ini(*WIDE, PURGE), columns=columns, command=TerminalCommand)[1].splitlines()
    assert max(map(width_of, lines)) <= columns
    # a column begins below its heading
    heading = lines[0].index('SCHEDULE')
    for line in lines[1:6]:
        begin, wide = 0, 0
        while wide < heading:
            wide, begin = wide + width_of(line[begin]), begin + 1
        assert line[begin:] in ('0 2 * * *', *(f'{number} 9 * * *' for number in range(4)))


@pytest.mark.slow
def test_five_hundred_names_with_one_beginning_can_be_typed(pcron, ini):
    hundreds = [
        f"plain, min={number % 60}, hour={number // 60}, name='shop.reports.daily.customer_{number}.export_all'"
        for number in range(500)
    ]
    path = ini(*hundreds)
    lines = pcron('list', path, command=TerminalCommand)[1].splitlines()
    cut = [word for line in lines for word in line.split() if '...' in word]
    # those with fewer digits fit
    assert len(set(cut)) == 400
    for name in (cut[0], cut[300]):
        status, out, err = pcron('show', path, name)
        assert (status, err) == (0, f'pcron: {name!r} is taken for {out.splitlines()[0]}\n')


def test_what_is_due_comes_first_with_what_became_of_it(pcron, ini, tmp_path):
    night = Night(f'sqlite:///{tmp_path}/cron.sqlite')
    night.tick()
    night.task('due')
    night.task('ran')
    night.run('due', at('23 22:00:02'), at('23 22:00:05'), 'failed', error='OSError')
    night.run('ran', at('23 22:00:01'), at('23 22:00:02'))
    path = ini(
        "plain, min=30, name='not'", "plain, min=5, name='ran'", "plain, min=0, name='due'", settings=night.settings
    )
    assert pcron('list', path, '--at', '23:00')[1].splitlines()[:5] == [
        'At 2026-12-24 23:00+01:00, 1 of 3 tasks are due.',
        "That is still to come; --at 'yesterday 23:00' is over.",
        'due      due  all fields match',
        'not due  not  min is 0, not 30',
        'not due  ran  min is 0, not 5',
    ]
    assert pcron('list', path, '--at', 'yesterday 23:00')[1].splitlines()[:4] == [
        'At 2026-12-23 23:00+01:00, 1 of 3 tasks are due.',
        'due      due  failed in 3.0 s, process 4711 on web1: OSError',
        'not due  not  min is 0, not 30',
        'not due  ran  ok in 1.0 s, process 4711 on web1',
    ]
    narrow = pcron('list', path, '--at', 'yesterday 23:00', columns=40, command=TerminalCommand)[1].splitlines()
    assert narrow[1:7] == [
        'due      due  failed in 3.0 s, process',
        '              4711 on web1: OSError',
        'not due  not  min is 0, not 30',
        'not due  ran  ok in 1.0 s, process 4711',
        '              on web1',
        '',
    ]
    shown = json.loads(pcron('list', path, '--at', 'yesterday 23:00', '--json')[1])
    assert {task['name']: task['result'] for task in shown['tasks']} == {
        'due': {'outcome': 'failed', 'text': 'failed in 3.0 s, process 4711 on web1: OSError'},
        'not': None,
        'ran': {'outcome': 'ok', 'text': 'ok in 1.0 s, process 4711 on web1'},
    }
    night.close()


def test_a_store_that_is_away_has_no_results(pcron, ini, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('no database, but long enough for a header of one' * 100)
    status, out, err = pcron(
        'list', ini(PURGE, settings=f'cron.store = sqlite:///{tmp_path}/cron.sqlite'), '--at', 'now'
    )
    assert (status, len(err.splitlines())) == (0, 1)
    assert 'not due  purge  ' in out
