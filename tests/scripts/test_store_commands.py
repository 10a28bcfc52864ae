"""``pcron pause``, ``pcron resume`` and ``pcron show``, and pauses in every list."""

import getpass
import json
import re
import shlex
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, update

from pyramid_cron.claims import Pause
from pyramid_cron.scripts.history import MAX_LAST_RUNS
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.store.schema import processes, runs, tasks
from tests.support import pcron

NOW = datetime.now(timezone.utc).replace(hour=12, minute=30, second=20, microsecond=0) - timedelta(days=1)
DAY = f'{NOW:%a %Y-%m-%d}'
DAY_BEFORE = f'{NOW - timedelta(days=1):%a %Y-%m-%d}'

APP = '''
from pyramid.config import Configurator

def purge(system):
    """Delete what is old.

    And more about it, in a second paragraph which is long enough for two lines of text.
    """

def fail(system):
    raise LookupError

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(purge, min=0, hour=14, name='purge', idle=True, retries=2, catch_up=7200, was='old')
        config.add_cron_task(fail, min='*', name='fail')
        config.add_cron_task(purge, min=30, name='own', store=False)
        return config.make_wsgi_app()
'''

INI = """
[app:main]
use = call:{module}:main
cron.app = shop
cron.timezone = {zone}
{store}
"""


class FixedCommand(pcron.FixedCommand):
    now = staticmethod(lambda: NOW)


class TickCommand(PCronCommand):
    """Ticks by a database whose clock is a day ahead: also for minutes after ``NOW``."""

    now = staticmethod(lambda: NOW)


def round_second(text):
    return datetime.fromtimestamp(round(datetime.fromisoformat(text).timestamp()), timezone.utc)


@pytest.fixture
def module(write_module):
    return write_module(APP)


@pytest.fixture
def run(module, tmp_path, monkeypatch, capsys):
    """Run the command at ``NOW``, and return its exit status and what it printed."""
    ini = tmp_path / 'shop.ini'
    made = []

    def run(line, columns=80, store=f'cron.store = sqlite:///{tmp_path}/cron.sqlite', zone='UTC', now=NOW):
        monkeypatch.setenv('COLUMNS', str(columns))
        ini.write_text(INI.format(module=module, store=store, zone=zone))
        name, *more = shlex.split(line)
        command = (TickCommand if name == 'tick' else FixedCommand)(['pcron', name, str(ini), *more])
        command.now = lambda: now
        status = command.run()
        made.append(command.registry['cron_store'])
        return (status, *capsys.readouterr())

    run.store = lambda: made[-1]
    yield run
    for made_store in filter(None, made):
        made_store.database.engine.dispose()


@pytest.fixture
def ticked(run):
    """The same, after a first tick."""
    assert run('tick')[0] == 1
    return run


@pytest.mark.slow
def test_a_pause_without_end_lasts_until_resumed(ticked):
    assert ticked("pause purge fail --reason 'the disk is full'") == (
        0,
        'purge is paused until it is resumed\nfail is paused until it is resumed\n',
        '',
    )
    pause = Pause(None, 'the disk is full', getpass.getuser())
    assert ticked.store().paused() == {'fail': pause, 'purge': pause}
    assert ticked('resume purge own') == (0, 'purge is resumed\nown was not paused\n', '')
    assert list(ticked.store().paused()) == ['fail']


@pytest.mark.slow
@pytest.mark.parametrize(
    ('until', 'shown'),
    [
        ('13:05', f'{NOW:%a %Y-%m-%d} 13:05 +00:00 (UTC), in 35 min'),
        ('9:00', f'{NOW + timedelta(days=1):%a %Y-%m-%d} 09:00 +00:00 (UTC), in 20 h 30 min'),
        ('12:30', f'{NOW + timedelta(days=1):%a %Y-%m-%d} 12:30 +00:00 (UTC), in 1 d'),
        ("'tomorrow 06:00'", f'{NOW + timedelta(days=1):%a %Y-%m-%d} 06:00 +00:00 (UTC), in 17 h 30 min'),
        ('2d', f'{NOW + timedelta(days=2):%a %Y-%m-%d} 12:30 +00:00 (UTC), in 2 d'),
        ("'2100-01-01 00:00'", 'Fri 2100-01-01 00:00 +00:00 (UTC), in '),
        ('2100-01-01T00:00+01:00', 'Thu 2099-12-31 23:00 +00:00 (UTC), in '),
    ],
)
def test_the_answer_shows_when_a_pause_ends(ticked, until, shown):
    status, out, err = ticked(f'pause purge --until {until} --reason why')
    assert (status, err) == (0, '')
    assert out.startswith(f'purge is paused until {shown}')
    assert out.endswith(('h\n', 'd\n', 'min\n'))


@pytest.mark.slow
def test_a_second_pause_shows_what_it_replaces(ticked):
    ticked("pause purge --reason 'the disk is full' --until '2100-01-01 00:00'")
    assert ticked('pause purge fail --reason maintenance') == (
        0,
        'purge is paused until it is resumed; that replaces the pause '
        f'by {getpass.getuser()} until Fri 2100-01-01 00:00: the disk is full\nfail is paused until it is resumed\n',
        '',
    )


@pytest.mark.slow
def test_all_tasks_are_paused_and_resumed(ticked):
    user = getpass.getuser()
    ticked("pause purge --reason 'the disk is full'")
    assert ticked("pause --all --reason 'the database moves' --until '2100-01-01 00:00'")[1].splitlines()[1:] == [
        'own is not paused: store=False leaves it to each process',
    ]
    assert ticked('pause --all --reason longer') == (
        0,
        'all tasks are paused until they are resumed; that replaces the pause '
        f'by {user} until Fri 2100-01-01 00:00: the database moves\n'
        'own is not paused: store=False leaves it to each process\n',
        '',
    )
    assert ticked('resume purge') == (
        0,
        'purge is resumed\n'
        f'all tasks are still paused, by {user} until they are resumed: longer; pcron resume --all ends that\n',
        '',
    )
    ticked("pause fail --reason 'it fails'")
    assert ticked('resume --all') == (
        0,
        f'all tasks are resumed\nfail is still paused by itself, by {user} until it is resumed: it fails\n',
        '',
    )
    ticked('resume fail')
    assert ticked('resume --all') == (0, 'there was no pause of all tasks\n', '')


@pytest.mark.slow
def test_all_tasks_can_be_paused_before_the_first_tick(run):
    user = getpass.getuser()
    assert run("pause --all --reason 'not yet'")[:2] == (
        0,
        'all tasks are paused until they are resumed\nown is not paused: store=False leaves it to each process\n',
    )
    assert f'paused   all tasks, by {user} until they are resumed' in run('history')[1]
    listed = run("list --at '2100-01-01 14:00'")[1]
    assert f'paused   purge  with all tasks by {user} until they are resumed' in listed
    # a tick that is simulated, and a real one
    assert f'paused   fail, with all tasks by {user} until' in run('tick --dry-run')[1]
    assert 'paused   fail, 0.000 s: paused with all tasks by' in run('tick')[1]


@pytest.mark.slow
def test_every_list_shows_that_all_tasks_are_paused(ticked):
    user = getpass.getuser()
    ticked("pause fail --reason 'it fails' --until '2099-01-01 00:00'")
    ticked("pause --all --reason 'the database moves'")
    text = f'by {user} since {DAY} 12:30 until they are resumed: the database moves'
    lines = ticked('list', columns=200)[1].splitlines()
    assert f'All tasks are paused {text}' in lines
    assert [line.split()[:2] for line in lines if 'paused' in line and not line.startswith(' ')] == [
        ['paused', 'purge'],
        ['paused', 'fail'],
        ['All', 'tasks'],
    ]
    found = json.loads(ticked('list --json')[1])
    pause = {
        'since': found['all_paused']['since'],
        'until': None,
        'reason': 'the database moves',
        'requested_by': user,
        'all_tasks': True,
    }
    assert found['all_paused'] == pause
    assert {task['name']: task['paused'] for task in found['tasks']} == {'purge': pause, 'fail': pause, 'own': None}
    own = f'by {user} since {DAY} 12:30 until Thu 2099-01-01 00:00: it fails'
    shown = f'\n  paused     with all tasks {text}; and {own}\n'
    assert shown in ticked('show fail', columns=200)[1]
    now = ticked('history', columns=200)[1].partition('\n\nNow\n')[2].splitlines()
    # what only the one task has is left to its own line, and the pause of each task is that of all
    assert [line.partition(',')[0] for line in now] == ['paused   all tasks', 'failed   fail']
    assert now[0] == f'paused   all tasks, {text}'
    assert json.loads(ticked('history --json')[1])['all_paused'] == pause


@pytest.mark.slow
@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (
            "pause purge --reason why --until '2020-01-01 00:00'",
            f"--until '2020-01-01 00:00' is not in the future: it is {DAY} 12:30 in UTC",
        ),
        (
            'pause purge --reason why --until noon',
            "--until 'noon' is not a time such as '2026-12-24 00:00', 06:00, monday, 'tomorrow 06:00', 2d or 45m",
        ),
        ("pause purge --reason ' '", 'the reason is empty: write why'),
        (f'pause purge --reason {"x" * 1001}', 'the reason has 1001 characters: write 1000 at most'),
        ('pause --reason why', "name the tasks to pause; 'pcron list' shows their names"),
        ('resume', "name the tasks to resume; 'pcron list' shows their names"),
        ('pause purge --all --reason why', '--all means all tasks: leave purge out, or --all'),
        ('resume purge fail --all', '--all means all tasks: leave purge, fail out, or --all'),
        ("pause '*' --reason why", "no cron task is named '*'; 'pcron list' shows their names"),
        ("resume '*'", "no cron task is named '*'; 'pcron list' shows their names"),
        ('pause purges --reason why', "no cron task is named 'purges'; is purge meant?"),
        ('resume purges', "no cron task is named 'purges'; is purge meant?"),
        ('acknowledge --reason why', "name the tasks to acknowledge; 'pcron list' shows their names"),
        ('acknowledge fails --reason why', "no cron task is named 'fails'; is fail meant?"),
        ("acknowledge fail --reason ' '", 'the reason is empty: write why'),
        (
            'acknowledge purge --reason why',
            'task purge has no failure to acknowledge: its last run has not failed',
        ),
        ('stop', "name the tasks to stop; 'pcron list' shows their names"),
        ('stop fails', "no cron task is named 'fails'; is fail meant?"),
        ('stop shop:fails@2026-12-24T02:00Z', "no cron task is named 'fails'; is fail meant?"),
        ('forget', "name the tasks to forget; 'pcron list' shows their names"),
        ('forget own', "no cron task is named 'own'; 'pcron list' shows their names"),
        (
            'pause own --reason why',
            "the store has no task 'own': a task is in it from the first tick on, and one with store=False never",
        ),
        ('show', "name one task; 'pcron list' shows their names"),
        ('show purge fail', "name one task; 'pcron list' shows their names"),
        ('show purges', "no cron task is named 'purges'; is purge meant?"),
    ],
)
def test_a_wrong_use_is_one_line_and_status_2(ticked, line, message):
    assert ticked(line) == (2, '', f'pcron: {message}\n')


def test_a_pause_needs_a_reason(run):
    with pytest.raises(SystemExit, match='2'):
        run('pause purge')


@pytest.mark.parametrize('line', ['pause purge --reason why', 'resume purge', 'forget gone'])
def test_without_a_store_it_is_one_line_and_status_2(run, line):
    status, out, err = run(line, store='')
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert err.startswith(f'pcron: {line.split()[0]} needs cron.store, which is not set')


def test_a_task_that_is_gone_can_be_resumed(ticked, tmp_path):
    ticked('pause purge --reason why')
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_pauses SET task = 'gone'")
    assert ticked('resume gone') == (0, 'gone is resumed\n', '')


@pytest.mark.slow
def test_a_task_that_is_gone_is_listed_until_forgotten(ticked, monkeypatch):
    ticked("pause purge --reason 'the disk is full'")
    begin = ticked.store().database.engine.begin
    with begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET task = 'gone', last_seen = '2020-01-01' WHERE task = 'purge'")
        connection.exec_driver_sql("UPDATE cron_pauses SET task = 'gone'")
        connection.exec_driver_sql('UPDATE cron_ticks SET minute_before = last_minute')
    lines, user = ticked('list', columns=200)[1].splitlines(), getpass.getuser()
    assert lines[-4:-2] == [
        'Not registered: gone, unregistered, since Wed 2020-01-01 00:00',
        f'Not registered: gone, paused, by {user} since {DAY} 12:30 until it is resumed: the disk is full',
    ]
    assert 'gone' not in ticked('list purge')[1]
    assert json.loads(ticked('list --json')[1])['not_registered'] == [
        {'name': 'gone', 'problem': 'unregistered', 'since': '2020-01-01T00:00:00+00:00'},
        {'name': 'gone', 'problem': 'paused', 'since': None},
    ]
    assert 'unregistered  gone, since Wed 2020-01-01 00:00' in ticked('history')[1]
    assert 'gone' not in ticked('history fail')[1]
    assert ticked('forget gone') == (0, 'gone is forgotten\n', '')
    assert 'gone' not in ticked('list')[1]
    assert ticked.store().paused() == {}


@pytest.mark.slow
def test_only_what_is_not_registered_is_forgotten(ticked):
    assert ticked('forget fail') == (2, '', 'pcron: fail is registered here: remove it from the application first\n')
    # it was in the store before it got store=False
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET task = 'own' WHERE task = 'purge'")
    assert ticked('forget own') == (0, 'own is forgotten\n', '')
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET task = 'gone', run_id = 'theirs' WHERE task = 'fail'")
    status, out, err = ticked('forget gone')
    assert (status, out) == (2, '')
    assert err == 'pcron: task gone has a run in progress: forget it when that has ended\n'


def test_the_user_of_a_run_by_name_is_in_the_history(ticked, monkeypatch):
    monkeypatch.setenv('LOGNAME', 'ada')
    ticked('run purge')
    assert ' purge, by hand, ada, process ' in ticked('history purge')[1]


# lists


@pytest.mark.slow
def test_every_list_shows_what_is_paused(ticked):
    ticked("pause purge --until '2100-01-01 15:00' --reason why")
    ticked("pause fail --reason 'it fails'")
    lines = ticked('list')[1].splitlines()[1:4]
    # without the time until the next run, which depends on the day
    assert [re.sub(r' +(in [0-9]+ (d 1 )?h)? +(?=[opf])', ' ', line, count=1) for line in lines] == [
        '13:30 own    30 * * * *',
        '2100-01-02 14:00 purge  0 14 * * *  paused',
        'paused fail   * * * * *   paused, failed 12:30',
    ]
    assert ticked('list', columns=30)[1].splitlines()[3] == 'paused      fail   paused'
    lines = ticked('list --next 2 purge fail')[1].splitlines()
    assert [re.sub(r'  in .* d( \d+ h)?', '', line) for line in lines] == [
        'Sat 2100-01-02 14:00 +00:00  purge',
        'Sun 2100-01-03 14:00 +00:00  purge',
        'Paused: purge, fail',
        '',
        'Times are in UTC. Path of the tick: /cron',
    ]
    requested_by = getpass.getuser()
    assert ticked("list --at '2100-01-01 14:00'")[1].splitlines()[1:3] == [
        f'paused   purge  by {requested_by} since {DAY} 12:30 until Fri 2100-01-01 15:00: why',
        f'paused   fail   by {requested_by} since {DAY} 12:30 until it is resumed: it fails',
    ]
    assert ticked("list --at '2100-01-02 14:00' purge")[1].splitlines()[1] == 'due  purge  all fields match'
    by_account = {'requested_by': requested_by, 'all_tasks': False}
    shown = {task['name']: task['paused'] for task in json.loads(ticked('list --json')[1])['tasks']}
    # SQLite counts in days, which have no shorter parts
    begun = [round_second(shown[name].pop('since')) for name in ('purge', 'fail')]
    assert begun == [NOW] * 2
    assert shown == {
        'purge': {'until': '2100-01-01T15:00:00+00:00', 'reason': 'why', **by_account},
        'fail': {'until': None, 'reason': 'it fails', **by_account},
        'own': None,
    }
    status, out, _ = ticked('tick --dry-run')
    assert (status, out) == (
        0,
        f'{NOW:%Y-%m-%d} 12:30+00:00: 1 task would run\n'
        '         own\n'
        f'paused   fail, by {requested_by} since {DAY} 12:30 until it is resumed: it fails\n',
    )


def test_a_pause_covers_the_whole_minute_of_its_end(ticked):
    until = datetime(2100, 1, 1, 15, 0, 30, tzinfo=timezone.utc)
    ticked.store().pause(['fail'], reason='why', until=until)
    assert json.loads(ticked('list fail --json')[1])['tasks'][0]['next'] == ['2100-01-01T15:01:00+00:00']


@pytest.mark.slow
def test_the_list_in_json_has_the_last_run_in_utc(ticked):
    [task] = json.loads(ticked('list fail --json')[1])['tasks']
    assert task['last_utc']['scheduled_for'] == f'{NOW:%Y-%m-%d}T12:30:00+00:00'
    assert task['last_utc']['finished'].endswith('+00:00')


# show


def shown(text):
    """Return the lines without how long things took, and when exactly they were."""
    return re.sub(r'\w{3} \d{4}-\d\d-\d\d \d\d:\d\d, (?=failed|missed|ok)|in 0\.\d+ s', '', text).splitlines()


@pytest.mark.slow
def test_show_explains_a_task(ticked):
    ticked("pause purge --until '2100-01-01 15:00' --reason why")
    status, out, err = ticked('show purge --next 2')
    assert (status, err) == (0, '')
    # where the name of the user is broken depends on its length
    out = re.sub(rf',\s+by\s+{getpass.getuser()}:\s+', ': ', out)
    assert [re.sub(r', in [0-9].*', '', line) for line in out.splitlines()] == [
        'purge',
        '  Delete what is old.',
        '',
        '  And more about it, in a second paragraph which is long enough for two lines of',
        '  text.',
        '',
        '  schedule   0 14 * * * (UTC)',
        '  settings   idle: after the others, while there is time; caught up for 2 h 0',
        '             min; retries: 2; was old',
        f'  paused     by {getpass.getuser()} since {DAY} 12:30 until Fri 2100-01-01 15:00: why',
        f'  not due    at {DAY} 12:30: min is 30, not 0; hour is 12, not 14',
        f'  last due   {DAY_BEFORE} 14:00: not recorded: the first tick with the task',
        f'             came after {NOW:%Y-%m-%d} 12:29+00:00',
        '  next runs  Sat 2100-01-02 14:00 +00:00',
        '             Sun 2100-01-03 14:00 +00:00',
        '  last runs  none yet',
    ]


@pytest.mark.slow
def test_show_has_the_newest_of_the_last_runs_first(ticked):
    for minutes in range(1, 5):
        ticked('tick', now=NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=30)
    ticked('tick', now=later)
    out = ticked('show fail --next 1', columns=200, now=later)[1]
    lines = shown(out)
    assert lines[:4] == [
        'fail',
        '',
        '  schedule   * * * * * (UTC)',
        '  settings   caught up for 5 min',
    ]
    assert lines[4] == f'  due        at {DAY} 13:00: all fields match'
    last = (
        r'  last due   .* 13:00: failed , began at .*, process .*: LookupError; failing since .*\d\d:\d\d, \d+ in a row'
    )
    assert re.fullmatch(last, lines[5])
    why = r'  problems   failed, .* \d\d:\d\d: LookupError; failing since .*\d\d:\d\d, \d+ in a row'
    assert re.fullmatch(why, lines[6])
    assert lines[7] == f'  next runs  {DAY} 13:01 +00:00, in 1 min'
    assert [line[13:] for line in lines[8:]] == ['failed : LookupError'] * 5
    ticked('resume fail')
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM cron_runs WHERE outcome <> 'missed'")
    assert shown(ticked('show fail --next 1', columns=200, now=later)[1])[9:] == [
        '  last runs  missed, 25 times until then'
    ]
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql('DELETE FROM cron_runs WHERE id <> (SELECT min(id) FROM cron_runs)')
    assert shown(ticked('show fail --next 1', columns=200, now=later)[1])[9:] == ['  last runs  missed']


@pytest.mark.slow
def test_show_has_skipped_running_and_lost_runs(ticked):
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE cron_runs SET outcome = 'skipped', attempt = 0, error = NULL, reason = 'no time left'"
        )
    assert ticked('show fail')[1].splitlines()[-1] == f'  last runs  {DAY} 12:30, skipped: no time left'
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE cron_runs SET outcome = 'running', attempt = 1, reason = NULL, seconds = NULL"
        )
        connection.exec_driver_sql("UPDATE cron_tasks SET run_id = (SELECT max(id) FROM cron_runs) WHERE task = 'fail'")
    assert re.fullmatch(r'  last runs  .*, running for \d+ s', ticked('show fail')[1].splitlines()[-1])
    # how long a lost run took is unknown
    with ticked.store().database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_runs SET outcome = 'lost', reason = 'process 7 on web1', seconds = 0")
    assert re.fullmatch(r'  last runs  .*, lost: process 7 on web1', ticked('show fail')[1].splitlines()[-1])


@pytest.mark.slow
def test_show_has_the_newest_miss_before_older_runs(ticked):
    newest = {'id': 'newest', 'app': 'shop', 'task': 'fail', 'scheduled_for': NOW.replace(second=0) + timedelta(days=2)}
    newest |= {'attempt': 0, 'trigger': 'none', 'outcome': 'missed', 'not_good': 'missed'}
    newest |= {'started': newest['scheduled_for']}
    for minutes in range(1, MAX_LAST_RUNS):
        ticked('tick', now=NOW + timedelta(minutes=minutes))
    with ticked.store().database.engine.begin() as connection:
        connection.execute(insert(runs).values(newest))
    later = NOW + timedelta(minutes=MAX_LAST_RUNS)
    lines = [line[13:] for line in ticked('show fail --next 1', columns=200, now=later)[1].splitlines()[8:]]
    assert lines[0] == f'{NOW + timedelta(days=2):%a %Y-%m-%d} 12:30, missed'
    assert len(lines) == MAX_LAST_RUNS
    assert all(', failed in ' in line for line in lines[1:])


def test_show_has_both_sides_of_a_clock_change(run):
    out = run("show own --at '2026-10-25T01:40+02:00' --next 3", zone='Europe/Berlin', store='')[1]
    assert re.findall(r'02:30 \+0[12]:00, in .*', out) == ['02:30 +02:00, in 50 min', '02:30 +01:00, in 1 h 50 min']


def test_show_needs_no_store(run):
    status, out, err = run('show own', store='')
    assert (status, err) == (0, '')
    assert out.splitlines()[6:8] == [
        '  schedule   30 * * * * (UTC)',
        '  settings   store=False: each process for itself',
    ]
    assert out.splitlines()[-1] == '  last runs  not recorded: set cron.store'


def test_show_leaves_out_last_runs_if_the_store_is_down(run, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('no database, but long enough for a header of one' * 100)
    status, out, err = run('show purge')
    assert (status, 'last runs' in out, err.count('\n')) == (0, False, 1)
    assert err.startswith('pcron: without last runs and pauses: ')


def test_show_makes_no_tables(run, tmp_path):
    assert run('show purge')[1].splitlines()[-1] == '  last runs  none yet'
    assert not (tmp_path / 'cron.sqlite').exists()


# check


def test_the_check_prints_a_line_for_each_finding(ini, pcron, tmp_path):
    path = ini(
        "plain, min='*', name='plain'", settings=f'cron.app = shop\ncron.store = sqlite:///{tmp_path}/cron.sqlite'
    )
    status, out, err = pcron('store', 'check', path, columns=200)
    assert (status, err) == (0, '')
    assert [line[:16] for line in out.splitlines()] == ['ok    database  ', 'ok    session   ']
    (tmp_path / 'cron.sqlite').write_text('no database, but long enough for a header of one' * 100)
    status, out, _ = pcron('store', 'check', path, columns=40)
    assert status == 1
    assert out.startswith('fail  database  ')
    # a finding is wrapped below its text
    assert {line[:16] for line in out.splitlines()[1:] if line[0] == ' '} == {' ' * 16}


ENQUEUEING = """
import celery
from pyramid.config import Configurator

def own(handover):
    raise NotImplementedError

def main(global_config, broker, via, **settings):
    app = celery.Celery(broker=broker, set_as_current=False)
    app.conf.worker_prefetch_multiplier = 1
    with Configurator(settings={**settings, 'cron.celery': app}) as config:
        config.include('pyramid_cron')
        config.add_cron_task(print, name='one', via=own if via == 'own' else via)
        return config.make_wsgi_app()
"""


@pytest.mark.parametrize(
    ('via', 'status', 'line'),
    [
        ('celery', 1, 'fail  queue     celery: OperationalError: '),
        ('own', 0, 'warn  queue     {module}.own: a function of the application, which is not called to try it'),
    ],
)
def test_the_check_tries_the_engines_too(write_module, pcron, tmp_path, via, status, line):
    module, path = write_module(ENQUEUEING), tmp_path / 'app.ini'
    path.write_text(
        f'[app:main]\nuse = call:{module}:main\nbroker = redis+socket://{tmp_path}/nothing\nvia = {via}\n'
        f'cron.store = sqlite:///{tmp_path}/cron.sqlite\n'
    )
    found, out, _ = pcron('store', 'check', str(path), columns=400)
    assert (found, out.splitlines()[-1].startswith(line.format(module=module))) == (status, True)
    assert out.endswith('no run is enqueued until then\n') == (status == 1)


@pytest.mark.slow
def test_a_known_failure_is_acknowledged_and_shown(ticked):
    assert ticked("acknowledge fail --reason 'the supplier is down'") == (
        0,
        'the failure of fail is acknowledged\n',
        '',
    )
    text = f', which is acknowledged: LookupError; acknowledged by {getpass.getuser()} since '
    assert text in ' '.join(ticked('show fail')[1].split())
    assert ' '.join(ticked('history fail')[1].split()).endswith(': the supplier is down')


def hold(ticked, **values):
    """Let a process of another machine run a task, and return the key of the run."""
    begun = {'app': 'shop', 'attempt': 1, 'trigger': 'request', 'started': NOW, 'outcome': 'running'}
    with ticked.store().database.engine.begin() as connection:
        lease = {'host': 'elsewhere', 'pid': 7, 'boot_and_pidns': 'other', 'lease_until': 1e11}
        connection.execute(insert(processes).values(id='stranger', **lease))
        held = {'run_id': 'held', 'process': 'stranger', 'started_at': NOW.timestamp(), **values}
        connection.execute(update(tasks).where(tasks.c.task == 'fail').values(held))
        minute = NOW.replace(second=0)
        connection.execute(insert(runs).values(id='held', task='fail', scheduled_for=minute, **begun))
    return f'shop:fail@{minute:%Y-%m-%dT%H:%MZ}'


@pytest.mark.slow
def test_a_run_in_progress_is_to_stop(ticked):
    hold(ticked)
    within = 'its process sees this within 30 s; the run ends when the task next calls stopping()'
    assert ticked('stop fail') == (0, f'fail is to stop: {within}\n', '')
    user = getpass.getuser()
    status, out, _ = ticked('stop fail', columns=200)
    assert (status, out.startswith(f'fail is to stop already, stop requested by {user} at ')) == (0, True)
    assert 'stop requested' in ticked('list', columns=200)[1]
    by_name = {task['name']: task for task in json.loads(ticked('list --json')[1])['tasks']}
    assert by_name['fail']['stop_requested']['by'] == user
    assert 'fail, stop requested by ' in ticked('history --by-hand', columns=200)[1]
    assert f'stop requested by {user}' in ticked('show fail', columns=200)[1]


def test_a_process_that_may_be_dead_is_named(ticked):
    hold(ticked)
    with ticked.store().database.engine.begin() as connection:
        connection.execute(update(processes).values(lease_until=1.0))
    assert 'its process has not renewed its lease, and may be dead' in ticked('stop fail', columns=200)[1]


@pytest.mark.slow
def test_a_queued_run_is_stopped_by_its_key(ticked):
    key = hold(ticked, process=None, handed_over_for='2026-12-24T02:00+00:00')
    assert f'key {key}' in ticked('history fail -v')[1]
    other = 'shop:fail@2020-12-24T02:00Z'
    assert ticked(f'stop {other}') == (1, '', 'pcron: that run of task fail is not in progress: another one is\n')
    assert ticked(f'stop {key}') == (0, 'fail is stopped: it was queued, and no worker begins it any more\n', '')
    assert ticked(f'stop {key}')[0] == 1


@pytest.mark.slow
def test_what_is_not_running_is_not_stopped(ticked):
    assert ticked('stop fail purge') == (
        1,
        '',
        'pcron: task fail is not running: its last run was failed\n'
        'pcron: task purge is not running: it has not run yet\n',
    )
    assert ticked('stop own') == (1, '', "pcron: the store has no task 'own'\n")
