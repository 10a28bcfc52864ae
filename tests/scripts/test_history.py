"""``pcron history``, the last runs in ``pcron list`` and ``pcron show``, and the reports of runs."""

import itertools
import json
import re
import shlex
from datetime import datetime

import pytest
from sqlalchemy import create_engine, insert, text, update

from pyramid_cron.reports import TaskReport
from pyramid_cron.store.schema import NOT_GOOD, audit, gaps, metadata, pauses, processes, runs, tasks, ticks
from pyramid_cron.store.upgraded_rows import states_from_history
from tests.support.pcron import NOW, UTC, FixedCommand

APP = """
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name, line in NAMES.items():
            config.add_cron_task(lambda system: None, cron=line, name=name)
        return config.make_wsgi_app()

def with_page(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.add_cron_task(print, name='mails', cron='@hourly')
        config.add_cron_status('/cronü', permission=NO_PERMISSION_REQUIRED)
        return config.make_wsgi_app()
"""

INI = """
[app:main]
use = call:{module}:main
cron.timezone = Europe/Berlin
cron.app = shop
{store}
"""

numbers = itertools.count()


class Shop:
    """An application with a store, of which what happened can be made up."""

    def __init__(self, folder, write_module, monkeypatch, capsys):
        self.folder, self._write_module, self._capsys, self._monkeypatch = folder, write_module, capsys, monkeypatch
        self.file = folder / 'cron.sqlite'
        self.ini = folder / 'shop.ini'
        self.url = f'sqlite:///{self.file}'
        self.tasks('invoices', 'mails')

    def write_ini(self, store):
        self.ini.write_text(INI.format(module=self.module, store=store))

    def tasks(self, *names, **lines):
        """Set the tasks, every hour or by a crontab line."""
        names = {**dict.fromkeys(names, '@hourly'), **lines}
        self.module = self._write_module(APP.replace('NAMES', repr(names)))
        self.write_ini(f'cron.store = {self.url}')

    def remember(self, table, **values):
        engine = create_engine(self.url)
        metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(table).values(**values))
        engine.dispose()

    def change(self, where, **values):
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(update(tasks).where(text(where)).values(**values))
        engine.dispose()

    def change_pause(self, **values):
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(update(pauses).values(**values))
        engine.dispose()

    def run(self, task, began, outcome='ok', **values):
        """Remember a run."""
        began = at(began)
        ran = {'host': 'web1', 'pid': 4711, 'finished': began, 'seconds': 0.25}
        known = {
            'id': f'{next(numbers)}',
            'app': 'shop',
            'scheduled_for': began.replace(second=0),
            'attempt': 1,
            'trigger': 'request',
        }
        result = {'outcome': outcome, 'not_good': NOT_GOOD.get(outcome)}
        self.remember(runs, **{**known, **ran, **values, **result}, task=task, started=began)

    def missed(self, task, *minutes, found):
        for minute in minutes:
            unbegun = {'host': None, 'pid': None, 'attempt': 0, 'trigger': 'none', 'seconds': 0.0}
            self.run(task, found, 'missed', scheduled_for=at(minute), reason='no tick came in time', **unbegun)

    def gap(self, first, last):
        self.remember(gaps, app='shop', first_minute=at(first), last_minute=at(last))

    def last_tick(self, minute):
        self.remember(ticks, app='shop', last_minute=at(minute))

    def task_row(self, task, **values):
        """Remember the row of a task, with the last result that is in the history and with values."""
        self.remember(tasks, app='shop', task=task, schedule='', first_seen=NOW)
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(states_from_history())
        engine.dispose()
        if values:
            self.change(f"task = '{task}'", **values)

    def pcron(self, line, columns=80):
        self._monkeypatch.setenv('COLUMNS', str(columns))
        command, *more = shlex.split(line)
        command = FixedCommand(['pcron', command, str(self.ini), *more])
        status = command.run()
        command.registry['cron_store'].database.engine.dispose()
        return (status, *self._capsys.readouterr())

    def history(self, line=''):
        status, out, err = self.pcron(f'history {line}')
        assert (status, err) == (0, '')
        return out


def at(text):
    """Return an instant of the night before ``NOW``, in UTC: Berlin is one hour ahead."""
    return datetime.fromisoformat(f'2026-12-{text}').replace(tzinfo=UTC)


@pytest.fixture
def shop(tmp_path, write_module, monkeypatch, capsys):
    return Shop(tmp_path, write_module, monkeypatch, capsys)


@pytest.fixture
def night(shop):
    """A night in which things went wrong."""
    shop.run('invoices', '23 22:00:01')
    shop.run('mails', '23 22:00:02', 'failed', error='SMTPServerDisconnected', traceback='Traceback\n  a line\nSMTP')
    shop.run('mails', '23 22:01:00.500', scheduled_for=at('23 22:00'), attempt=2, seconds=312.4)
    shop.gap('23 22:02', '23 22:58')
    shop.run('invoices', '23 22:59:30', 'lost', reason='process 4711 on web1, since 2026-12-23 23:59:30+01:00')
    shop.run('mails', '23 23:00:10', 'running', id='token', finished=None, seconds=None)
    shop.run('invoices', '23 23:04:00', scheduled_for=None, trigger='manual', host='admin', pid=12)
    shop.last_tick('23 23:06')
    shop.task_row('mails', run_id='token', started_at=at('23 23:07:10').timestamp())
    return shop


def test_history_shows_the_newest_entry_last(night):
    assert night.history() == (
        'Wed 2026-12-23, Europe/Berlin\n'
        '23:00:01  ok         0.250 s  invoices, process 4711 on web1\n'
        '23:00:02  failed     0.250 s  mails, process 4711 on web1:\n'
        '                              SMTPServerDisconnected\n'
        '23:01:00  ok       5 min 12 s  mails, for 23:00, attempt 2, process 4711 on web1\n'
        '23:02     no tick from 23:02 to 23:58 (57 min); nothing was due then\n'
        '23:59:30  lost                invoices, process 4711 on web1\n'
        '\n'
        'Thu 2026-12-24, Europe/Berlin\n'
        '00:00:10  running  7 min 20 s  mails, process 4711 on web1\n'
        '00:04:00  ok         0.250 s  invoices, by hand, process 12 on admin\n'
    )


@pytest.mark.slow
def test_history_fits_a_narrow_terminal(night):
    night.missed('mails', '23 20:00', '23 21:00', found='23 22:00:02')
    lines = night.pcron('history --limit 6', columns=40)[1].splitlines()
    assert lines == [
        'Wed 2026-12-23, Europe/Berlin',
        '23:00:02  failed     0.250 s',
        '          mails, process 4711 on web1:',
        '          SMTPServerDisconnected',
        '23:01:00  ok       5 min 12 s',
        '          mails, for 23:00, attempt 2,',
        '          process 4711 on web1',
        '23:02     no tick from 23:02 to 23:58',
        '          (57 min); nothing was due then',
        '23:59:30  lost',
        '          invoices, process 4711 on web1',
        '',
        'Thu 2026-12-24, Europe/Berlin',
        '00:00:10  running  7 min 20 s',
        '          mails, process 4711 on web1',
        '00:04:00  ok         0.250 s',
        '          invoices, by hand, process 12',
        '          on admin',
    ]
    missed = night.pcron('history --failed', columns=40)[1].splitlines()[1:3]
    assert missed == ['22:00     missed', '          mails, 2 times since 21:00']


def test_history_in_json_has_all_of_it(night):
    night.missed('mails', '23 20:00', '23 21:00', found='23 22:00:02')
    shown = json.loads(night.history('--json'))
    assert (shown['app'], shown['last_tick'], shown['silence']) == ('shop', '2026-12-24T00:06:00+01:00', None)
    assert [(entry['kind'], entry.get('outcome')) for entry in shown['entries']] == [
        ('missed', None),
        ('run', 'ok'),
        ('run', 'failed'),
        ('run', 'ok'),
        ('gap', None),
        ('run', 'lost'),
        ('run', 'running'),
        ('run', 'ok'),
    ]
    assert shown['entries'][0] == {
        'kind': 'missed',
        'task': 'mails',
        'first': '2026-12-23T21:00:00+01:00',
        'last': '2026-12-23T22:00:00+01:00',
        'minutes': 2,
        'found': '2026-12-23T23:00:02+01:00',
        'reason': 'no tick came in time',
    }
    assert shown['entries'][4] == {
        'kind': 'gap',
        'first': '2026-12-23T23:02:00+01:00',
        'last': '2026-12-23T23:58:00+01:00',
        'problem': None,
        'due': [],
    }
    assert shown['entries'][2] == {
        'kind': 'run',
        'task': 'mails',
        'outcome': 'failed',
        'scheduled_for': '2026-12-23T23:00:00+01:00',
        'attempt': 1,
        'trigger': 'request',
        'requested_by': None,
        'made_good_by': None,
        'note': None,
        'log': None,
        'host': 'web1',
        'pid': 4711,
        'started': '2026-12-23T23:00:02+01:00',
        'finished': '2026-12-23T23:00:02+01:00',
        'seconds': 0.25,
        'reason': None,
        'error': 'SMTPServerDisconnected',
        'traceback': 'Traceback\n  a line\nSMTP',
        'key': 'shop:mails@2026-12-23T22:00Z',
    }


def test_history_of_named_tasks_leaves_out_other_gaps(night):
    night.gap('23 21:58', '23 21:59')
    night.gap('23 20:58', '23 21:07')
    night.tasks(mails='5 * * * *', invoices='@hourly')
    lines = night.history('mails').splitlines()
    assert not any('invoices' in line for line in lines)
    assert lines[1] == '21:58     no tick from 21:58 to 22:07 (10 min); due then: mails'
    assert [line for line in lines if 'no tick' in line] == [
        lines[1],
        '23:02     no tick from 23:02 to 23:58 (57 min); due then: mails',
    ]


def test_history_of_what_failed_has_nothing_else(night):
    night.run('mails', '23 22:30', 'skipped', attempt=0, host=None, pid=None, reason='still running')
    night.missed('mails', '23 20:00', found='23 22:00:02')
    night.missed('invoices', '22 20:00', '22 21:00', '23 21:00', found='23 22:00:03')
    assert night.history('--failed') == (
        'Wed 2026-12-23, Europe/Berlin\n'
        '21:00     missed              mails\n'
        '22:00     missed              invoices, 3 times since 2026-12-22 21:00\n'
        '23:00:02  failed     0.250 s  mails, process 4711 on web1:\n'
        '                              SMTPServerDisconnected\n'
        '23:59:30  lost                invoices, process 4711 on web1\n'
    )


def test_a_skipped_run_has_a_reason_and_no_process(shop):
    shop.run(
        'mails', '23 22:30:01', 'skipped', attempt=0, host=None, pid=None, reason='still running: process 3 on web2'
    )
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[1] == '23:30:00  skipped             mails: still running: process 3 on web2'


def test_a_lost_run_may_have_another_reason(shop):
    shop.run('mails', '23 22:30:01', 'lost', reason='the end of its process was in its way')
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[1:] == [
        '23:30:01  lost                mails, process 4711 on web1: the end of its',
        '                              process was in its way',
    ]


def test_a_gap_of_one_minute_names_it(shop):
    shop.tasks('mails')
    shop.gap('23 22:00', '23 22:00')
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[1:] == ['23:00     no tick at 23:00; due then: mails']


def test_a_gap_over_midnight_has_its_dates(shop):
    shop.tasks(*(f'task{number}' for number in range(9)))
    shop.gap('22 22:50', '23 22:50')
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[1:] == [
        '23:50     no tick from 23:50 to 2026-12-23 23:50 (24 h 1 min); due then: task0,',
        '          task1, task2, task3, task4, task5, 3 more',
    ]


def test_an_ongoing_gap_comes_last(shop):
    shop.run('mails', '23 22:00:01')
    shop.last_tick('23 22:57')
    assert shop.history().splitlines()[2:] == ['23:58     no tick since 23:58 (9 min); due then: invoices, mails']
    assert json.loads(shop.history('mails --json'))['silence'] == {
        'kind': 'gap',
        'first': '2026-12-23T23:58:00+01:00',
        'last': '2026-12-24T00:06:00+01:00',
        'problem': None,
        'due': ['mails'],
    }


def test_the_last_minutes_are_no_gap_yet(shop):
    shop.run('mails', '23 22:00:01')
    # a minute and a half ago
    shop.last_tick('23 23:06')
    assert 'no tick' not in shop.history()


def test_a_gap_begins_after_two_minutes(shop):
    shop.run('mails', '23 22:00:01')
    shop.last_tick('23 23:05')
    assert shop.history().splitlines()[-1] == '00:06     no tick since 00:06 (60 s); nothing was due then'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('since', 'first'),
    [
        ('2026-12-23 23:01', '23:01:00'),
        ('2026-12-23T22:59:30Z', '23:59:30'),
        ('5min', '00:00:10'),
        ('1 h', '23:02   '),
        ('2h', '23:00:01'),
        ('3d', '23:00:01'),
    ],
)
def test_history_since_a_time_leaves_out_older_runs(night, since, first):
    assert night.history(f"--since '{since}'").splitlines()[1][:8] == first


@pytest.mark.slow
def test_a_run_that_was_in_progress_at_that_time_is_shown(shop):
    shop.run('invoices', '23 21:00:00', finished=at('23 22:29:59'), seconds=5399)
    shop.run('invoices', '23 22:50:00', finished=at('23 22:59:00'), seconds=540)
    shop.run('mails', '23 21:30:00', 'failed', finished=at('23 22:31:00'), seconds=3660, error='OSError')
    shop.run('mails', '23 22:00:00', 'skipped', attempt=0, trigger='none', reason='still running', seconds=None)
    shop.run('gone', '23 21:10:00', 'running', finished=None, seconds=None)
    shop.last_tick('23 23:06')
    for name in ('invoices', 'mails'):
        shop.task_row(name, last_finished=at('23 22:59'))
    assert begins(shop.history('--since 23:30')) == ['22:30:00  failed', '23:50:00  ok']
    assert begins(shop.history('--since 23:30 --failed')) == ['22:30:00  failed']
    assert begins(shop.history('--since 23:30 --limit 1')) == ['23:50:00  ok']
    assert begins(shop.history('invoices --since 23:30')) == ['23:50:00  ok']
    # the history has runs of tasks without a row; this one is lost, because no row has it
    assert begins(shop.history('gone --since 23:30')) == []
    # no run of it has ended since
    shop.change("task = 'mails'", last_finished=at('23 22:00'))
    assert begins(shop.history('mails --since 23:30')) == []


def test_a_run_that_goes_on_is_shown_since_any_time(shop):
    shop.run('mails', '22 21:30:00', 'running', finished=None, seconds=None, id='token')
    shop.last_tick('23 23:06')
    shop.task_row('mails', run_id='token', started_at=at('22 21:30').timestamp())
    assert begins(shop.history('--since today')) == ['22:30:00  stuck']


def test_gaps_and_misses_count_by_their_ends(shop):
    shop.gap('23 20:50', '23 22:10')
    shop.missed('mails', '23 21:00', '23 22:00', found='23 22:11:00')
    shop.last_tick('23 23:06')
    assert [line[:19] for line in shop.history("--since '2026-12-23 23:00'").splitlines()[1:]] == [
        '21:50     no tick f',
        '23:00     missed   ',
    ]
    assert shop.history("--since '2026-12-23 23:30'") == 'Nothing that matches is recorded.\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('since', 'message'),
    [
        ('noon', "--since 'noon' is not a time such as '2026-12-24 00:00', 22:00, yesterday, monday"),
        ('5parsecs', "--since '5parsecs' is not a time such as '2026-12-24 00:00', 22:00, yesterday, monday"),
    ],
)
def test_a_bad_since_is_refused(night, since, message):
    examples = ", 'yesterday 22:00', 2d or 45m"
    assert night.pcron(f'history --since {since}') == (2, '', f'pcron: {message}{examples}\n')


def test_the_limit_keeps_the_newest(night):
    assert [line[:8] for line in night.history('--limit 2').splitlines()[1:]] == ['00:00:10', '00:04:00']


def test_verbose_shows_the_end_of_a_traceback(shop):
    lines = [f'line {number}' for number in range(20)]
    shop.run('mails', '23 22:00:02', 'failed', error='OSError', traceback='\n'.join([*lines, '']))
    shop.run('mails', '23 22:30:02', 'failed', error='OSError', traceback='one line')
    shop.last_tick('23 23:06')
    assert shop.history('mails -v').splitlines()[1:] == [
        '23:00:02  failed     0.250 s  mails, process 4711 on web1: OSError',
        '          key shop:mails@2026-12-23T22:00Z',
        '          ...',
        *(f'          line {number}' for number in range(5, 20)),
        '23:30:02  failed     0.250 s  mails, process 4711 on web1: OSError',
        '          key shop:mails@2026-12-23T22:30Z',
        '          one line',
    ]
    assert 'line' not in shop.history('mails')


@pytest.mark.slow
def test_verbose_shows_the_addresses_of_the_pages_of_runs(shop):
    shop.run('mails', '23 22:00:02', 'ok')
    shop.run('mails', '23 22:30:02', 'skipped', attempt=0, host=None, pid=None, seconds=None, reason='no time left')
    shop.last_tick('23 23:06')
    assert 'page' not in shop.history('mails -v')
    shop.write_ini(f'cron.store = {shop.url}\ncron.url = https://example.com/the%%20shop')
    # without a status page
    assert 'page' not in shop.history('mails -v')
    shop.ini.write_text(shop.ini.read_text().replace(':main\n', ':with_page\n'))
    address = 'https://example.com/the%20shop/cron%C3%BC/history/run?key=shop:mails@2026-12-23T22'
    found = [line.strip() for line in shop.history('mails -v').splitlines() if ' page ' in line]
    assert [line.rpartition('&')[0] for line in found] == [f'page {address}:00Z', f'page {address}:30Z']


@pytest.mark.slow
def test_verbose_shows_note_and_log(shop):
    log = '23:00:02 INFO shop: first\n23:00:03 ERROR shop: \x1b[2J\nTraceback'
    shop.run('mails', '23 22:00:02', note='1,204 rows', log=log, error='OSError', traceback='one line')
    shop.run('mails', '23 22:30:02', note='')
    shop.last_tick('23 23:06')
    assert shop.history('mails -v').splitlines()[2:] == [
        '          key shop:mails@2026-12-23T22:00Z',
        '          note 1,204 rows',
        '          log',
        '            23:00:02 INFO shop: first',
        r'            23:00:03 ERROR shop: \x1b[2J',
        '            Traceback',
        '          one line',
        '23:30:02  ok         0.250 s  mails, process 4711 on web1',
        '          key shop:mails@2026-12-23T22:30Z',
    ]
    assert 'rows' not in shop.history('mails')
    entry = json.loads(shop.history('mails --json'))['entries'][0]
    assert (entry['note'], entry['log']) == ('1,204 rows', log)


@pytest.mark.slow
def test_a_run_in_progress_shows_what_its_process_has_written(shop):
    shop.run('mails', '23 22:05:02')
    shop.run('mails', '23 23:05:02', 'running', id='token', finished=None, seconds=None)
    outputs = json.dumps({'token': ['half of it', '00:05:03 INFO shop: first'], 'other': ['of another', None]})
    shop.remember(processes, id='mine', host='web1', pid=4711, lease_until=1e12, outputs=outputs, progress=PROGRESS)
    shop.task_row('mails', run_id='token', process='mine', started_at=at('23 23:05:02').timestamp())
    shop.last_tick('23 23:06')
    lines = shop.history('mails -v --limit 1').splitlines()
    assert lines[2:6] == [
        '          key shop:mails@2026-12-23T23:05Z',
        '          note half of it',
        '          log',
        '            00:05:03 INFO shop: first',
    ]
    entry = json.loads(shop.history('mails --json'))['entries'][-1]
    assert (entry['note'], entry['log']) == ('half of it', '00:05:03 INFO shop: first')
    # the page of one task, and the list
    assert '00:05, running for 2 min 28 s, 42 %, about 5 min left\n' in shop.pcron('show mails', columns=200)[1]
    assert '42 %, about 6 min left' in shop.pcron('list mails', columns=200)[1]
    (found,) = json.loads(shop.pcron('list mails --json')[1])['tasks']
    assert found['last']['progress']['percent'] == 42


PROGRESS = json.dumps({'token': [42, 100, datetime(2026, 12, 23, 23, 7, tzinfo=UTC).timestamp(), 360.0]})


def test_a_run_that_did_not_begin_has_no_key(shop):
    shop.run('mails', '23 22:00:02', 'skipped', attempt=0, host=None, pid=None, seconds=None, reason='no time left')
    shop.last_tick('23 23:06')
    assert shop.history('mails -v').splitlines()[1:] == ['23:00:00  skipped             mails: no time left']


def test_history_has_tasks_that_are_no_longer_registered(night):
    night.run('old.mails', '23 23:05:00')
    assert 'old.mails' in night.history('old.mails')


def test_history_of_an_unknown_task_is_refused(night):
    message = "no cron task is named 'mials'; is mails meant?"
    assert night.pcron('history mials') == (2, '', f'pcron: {message}\n')


def test_history_of_a_task_may_be_empty(night):
    night.tasks('invoices', 'mails', 'purge')
    assert night.history('purge') == 'Nothing that matches is recorded.\n'


def test_before_the_first_tick_history_makes_no_file(shop):
    assert shop.history() == 'Nothing is recorded: no tick has come yet.\n'
    assert not shop.file.exists()


def test_history_makes_no_tables(shop):
    shop.file.touch()
    assert shop.history() == 'Nothing is recorded: no tick has come yet.\n'
    assert shop.file.stat().st_size == 0


def test_history_may_be_one_ongoing_gap(shop):
    shop.last_tick('23 22:57')
    assert shop.history() == (
        'Nothing that matches is recorded.\n'
        '\n'
        'Wed 2026-12-23, Europe/Berlin\n'
        '23:58     no tick since 23:58 (9 min); due then: invoices, mails\n'
    )


def test_a_store_that_is_down_is_status_1(shop):
    shop.file.write_text('no database, but long enough for a header of one' * 100)
    status, out, err = shop.pcron('history')
    assert (status, out, err) == (1, '', 'pcron: the store is not available: file is not a database\n')


@pytest.mark.parametrize('command', ['history', 'store check'])
def test_without_a_store_the_setting_is_named(shop, command, capsys):
    shop.write_ini('')
    status = FixedCommand(['pcron', *command.split(), str(shop.ini)]).run()
    message = (
        f'{command.split()[0]} needs cron.store, which is not set; write, for example, '
        'cron.store = sqlite:///%(here)s/cron.sqlite'
    )
    assert (status, *capsys.readouterr()) == (2, '', f'pcron: {message}\n')


# list


@pytest.mark.slow
def test_the_list_shows_recorded_last_runs(night):
    for task in ('invoices', 'purge'):
        night.task_row(task)
    night.tasks('invoices', 'mails', 'purge')
    assert night.pcron('list')[1].splitlines()[:5] == [
        'NEXT RUN             TASK      SCHEDULE   LAST DUE',
        '01:00     in 53 min  invoices  0 * * * *  ok 00:04, by hand',
        '01:00     in 53 min  mails     0 * * * *  running',
        '    the last good run took 5 min 12 s; last ok yesterday 23:01',
        '01:00     in 53 min  purge     0 * * * *',
    ]
    assert night.pcron('list', columns=30)[1].splitlines()[2] == '01:00  mails     running'
    shown = [task['last'] for task in json.loads(night.pcron('list --json')[1])['tasks']]
    assert [last and (last['outcome'], last['finished'], last['running_since']) for last in shown] == [
        ('ok', '2026-12-24T00:04:00+01:00', None),
        ('ok', '2026-12-23T23:01:00.500000+01:00', '2026-12-24T00:07:10+01:00'),
        None,
    ]


def test_the_list_shows_what_is_known_of_a_failure_below_it(shop):
    last = {'last_outcome_for': at('23 22:00'), 'last_finished': at('23 22:01'), 'last_success_at': at('22 01:00')}
    why = {'last_error': 'OperationalError', 'last_message': 'could not connect to db-1'}
    since = {'failed_runs': 12, 'failed_since': at('23 03:10').timestamp()}
    shop.task_row('mails', last_outcome='failed', **last, **why, **since)
    shop.remember(pauses, app='shop', task='mails', until=at('24 06:00'), reason='why')
    shop.last_tick('23 23:06')
    lines = shop.pcron('list')[1].splitlines()
    [number] = [number for number, line in enumerate(lines) if 'mails' in line]
    assert lines[number].endswith('  paused, failed yesterday 23:00')
    assert lines[number + 1 : number + 3] == [
        '    OperationalError: could not connect to db-1; failing since yesterday 04:10,',
        '    12 in a row; paused; last ok Tue 2026-12-22 02:00',
    ]


def test_the_list_has_next_runs_in_brackets_while_no_tick_comes(shop):
    shop.last_tick('23 20:00')
    lines = shop.pcron('list')[1].splitlines()
    assert lines[1] == '(01:00)   if ticks come  invoices  0 * * * *'
    assert shop.pcron('list', columns=36)[1].splitlines()[1] == '(01:00)   invoices  0 * * * *'
    assert shop.pcron('list --next 1')[1].splitlines()[0] == 'Thu 2026-12-24 01:00 +01:00  if ticks come  invoices'


def line_of_mails(shop):
    return next(line for line in shop.pcron('list')[1].splitlines() if 'mails' in line)


def test_a_minute_that_the_pause_skipped_is_no_news_beside_the_pause(shop):
    row = {'last_outcome': 'ok', 'last_outcome_for': at('23 21:00'), 'last_minute': at('23 22:00')}
    shop.task_row('mails', **row)
    pause = {'app': 'shop', 'task': 'mails', 'reason': 'why'}
    shop.remember(pauses, until=at('24 06:00'), **pause)
    shop.last_tick('23 23:06')
    assert line_of_mails(shop).endswith('  paused')
    shop.change_pause(until=at('23 22:30'))
    assert line_of_mails(shop).endswith('  paused yesterday 23:00')


def test_the_list_shows_the_first_run_in_progress(shop):
    shop.task_row('mails', run_id='token', started_at=at('23 23:07:10').timestamp())
    shop.task_row('invoices', run_id='token', started_at=at('23 23:00:10').timestamp(), handed_over_for='token')
    lines = shop.pcron('list')[1].splitlines()
    assert [line.rpartition('* ')[2].strip() for line in (lines[1], lines[3])] == ['overdue 7 min 19 s', 'running']
    [last] = [task['last'] for task in json.loads(shop.pcron('list mails --json')[1])['tasks']]
    assert (last['outcome'], last['running_since']) == (None, '2026-12-24T00:07:10+01:00')


def test_a_run_of_this_very_minute_has_its_time(shop):
    shop.run('mails', '23 23:07:10')
    shop.task_row('mails')
    assert '  ok 00:07\n' in shop.pcron('list')[1]


def test_the_list_makes_no_tables(shop):
    assert shop.pcron('list')[::2] == (0, '')
    assert not shop.file.exists()


def test_the_list_works_while_the_store_is_down(shop):
    shop.file.write_text('no database, but long enough for a header of one' * 100)
    status, out, err = shop.pcron('list')
    assert (status, out.count('01:00')) == (0, 2)
    assert err == 'pcron: without last runs and pauses: the store is not available: file is not a database\n'


# reports


def test_a_tick_without_the_store_is_one_line(shop):
    shop.file.write_text('no database, but long enough for a header of one' * 100)
    assert shop.pcron("tick --at '2026-11-24 00:00'") == (
        1,
        '',
        'pcron: nothing ran for 2026-11-24 00:00+01:00: the store is not available: file is not a database\n',
    )


@pytest.mark.slow
def test_a_tick_prints_losses_attempts_and_minutes(shop):
    shop.tasks(mails='0 * * * *', invoices='0 * * * *', purge='1 * * * *')
    assert shop.pcron("tick --at '2025-11-01 10:00'")[0] == 0
    began = at('01 09:00').replace(year=2025, month=11)
    shop.change("task = 'mails'", retry_reason='failed')
    shop.change("task = 'invoices'", run_id='token', process='gone', started_at=began.timestamp())
    status, out, _ = shop.pcron("tick --at '2025-11-01 10:04'")
    assert status == 1
    assert [re.sub(r', [0-9.]+ s', '', line) for line in out.splitlines()[1:]] == [
        'ok       mails, for 2025-11-01 10:00+01:00, attempt 2',
        'lost     invoices: process None on None, since 2025-11-01 10:00:00+01:00',
        'ok       purge, for 2025-11-01 10:01+01:00',
    ]
    assert 'invoices, ' not in out


def test_a_report_in_json_has_unusual_attempts_and_minutes():
    report = TaskReport('mails', 'ok', 1.0, attempt=2, scheduled_for=NOW)
    assert report.as_dict() == {
        'name': 'mails',
        'outcome': 'ok',
        'seconds': 1.0,
        'attempt': 2,
        'scheduled_for': '2026-12-23T23:07:30+00:00',
    }
    assert TaskReport('mails', 'ok', 1.0).as_dict().keys() == {'name', 'outcome', 'seconds'}


# what people did


@pytest.fixture
def acted(shop):
    """A shop in which tasks ran, and in which people did something."""
    shop.run('invoices', '23 20:00:01')
    shop.run('mails', '23 20:30:05', scheduled_for=None, trigger='manual', requested_by='bob')
    shop.run('mails', '23 21:00:01', 'failed', error='KeyError')
    known = {'app': 'shop', 'requested_by': 'ada'}
    shop.remember(
        audit, id='1', task='mails', at=at('23 20:45:10'), action='paused', reason='why', until=at('24 05:00'), **known
    )
    shop.remember(audit, id='2', task='*', at=at('23 20:50:00'), action='paused', reason='it moves', **known)
    shop.remember(audit, id='3', task='*', at=at('23 20:55:00'), action='resumed', app='shop')
    shop.remember(audit, id='4', task='invoices', at=at('23 20:58:00'), action='forgotten', **known)
    shop.last_tick('23 23:06')
    return shop


def test_what_people_did_is_in_the_history(acted):
    assert acted.history().splitlines()[1:8] == [
        '21:00:01  ok         0.250 s  invoices, process 4711 on web1',
        '21:30:05  ok         0.250 s  mails, by hand, bob, process 4711 on web1',
        '21:45:10  by hand             mails, paused by ada, until 2026-12-24 06:00: why',
        '21:50:00  by hand             all tasks, paused by ada: it moves',
        '21:55:00  by hand             all tasks, resumed',
        '21:58:00  by hand             invoices, forgotten by ada',
        '22:00:01  failed     0.250 s  mails, process 4711 on web1: KeyError',
    ]


def begins(text):
    return [line[:17].strip() for line in text.splitlines() if re.match(r'[0-9:]{8} ', line)]


@pytest.mark.slow
def test_what_people_did_can_be_shown_alone(acted):
    hand = ['21:45:10  by hand', '21:50:00  by hand', '21:55:00  by hand', '21:58:00  by hand']
    assert begins(acted.history('--by-hand')) == ['21:30:05  ok', *hand]
    # what was done to all tasks was done to each
    assert begins(acted.pcron('history mails --by-hand')[1]) == ['21:30:05  ok', *hand[:3]]
    assert begins(acted.history('--by-hand --limit 2')) == hand[2:]
    assert begins(acted.history("--by-hand --since '2026-12-23 21:52'")) == hand[2:]
    assert begins(acted.history('--failed')) == ['22:00:01  failed']
    with pytest.raises(SystemExit, match='2'):
        acted.history('--failed --by-hand')


def test_what_people_did_is_in_the_json(acted):
    entries = json.loads(acted.history('--by-hand --json'))['entries']
    assert [entry['kind'] for entry in entries] == ['run', *['action'] * 4]
    assert entries[1] == {
        'kind': 'action',
        'task': 'mails',
        'action': 'paused',
        'at': '2026-12-23T21:45:10+01:00',
        'requested_by': 'ada',
        'reason': 'why',
        'until': '2026-12-24T06:00:00+01:00',
    }


@pytest.mark.slow
def test_what_people_did_is_no_last_run(acted):
    assert 'by hand' not in acted.pcron('show invoices')[1].partition('last runs')[2]


# problems


@pytest.mark.slow
def test_history_ends_with_what_is_wrong_now(shop):
    ended = {'last_outcome_for': at('23 22:00'), 'last_finished': at('23 22:01')}
    shop.task_row('mails', last_outcome='failed', last_error='SMTPServerDisconnected', **ended)
    shop.task_row('invoices', last_outcome='ok', run_id='token', started_at=at('23 21:07:00').timestamp(), **ended)
    reason = {'reason': 'the disk is full', 'requested_by': 'ada'}
    shop.remember(pauses, app='shop', task='mails', until=at('24 06:00'), **reason)
    shop.last_tick('23 23:06')
    assert shop.history().splitlines() == [
        'Nothing that matches is recorded.',
        '',
        'Now',
        'stuck    invoices, running for 2 h 0 min 29 s',
        'failed   mails, Wed 2026-12-23 23:01, while paused: SMTPServerDisconnected',
        'paused   mails, by ada until Thu 2026-12-24 07:00: the disk is full',
    ]
    assert shop.pcron('history mails', columns=40)[1].splitlines()[3:] == [
        'failed   mails, Wed 2026-12-23 23:01,',
        '         while paused:',
        '         SMTPServerDisconnected',
        'paused   mails, by ada until Thu',
        '         2026-12-24 07:00: the disk is',
        '         full',
    ]
    assert json.loads(shop.history('--json'))['problems'] == [
        {'kind': 'stuck', 'task': 'invoices'},
        {'kind': 'failed', 'task': 'mails'},
        {'kind': 'paused', 'task': 'mails'},
    ]


def test_failures_with_one_reason_are_one_line(shop):
    ended = {'last_outcome_for': at('23 22:00'), 'last_finished': at('23 22:01'), 'last_outcome': 'failed'}
    why = {'last_error': 'OperationalError', 'last_message': 'could not connect to db-1'}
    shop.task_row('mails', **ended, **why, failed_runs=12, failed_since=at('23 03:10').timestamp())
    shop.task_row('invoices', **ended, **why)
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[3:] == [
        'failed   OperationalError \N{MULTIPLICATION SIGN} 2: could not connect to db-1; invoices, mails'
    ]
    # of one of them, with since when
    assert ' '.join(shop.pcron('history mails')[1].split()).endswith(
        'mails, Wed 2026-12-23 23:01: OperationalError: could not connect to db-1; failing since 04:10, 12 in a row'
    )


def test_a_run_that_no_worker_begins_has_its_wait_and_its_reason(shop):
    began = at('23 23:01:30').timestamp()
    queued = {'run_id': 'token', 'handed_over_for': 'token', 'not_begun': 'token LookupError: x'}
    shop.task_row('mails', started_at=began, **queued)
    shop.last_tick('23 23:06')
    lines = shop.pcron('show mails')[1].splitlines()
    assert [' '.join(line.split()) for line in lines[7:10]] == [
        'state overdue 5 min 59 s; a worker failed before the task: LookupError: x',
        'problems overdue, queued for 5 min 59 s: a worker failed before the task:',
        'LookupError: x',
    ]


def test_show_has_problems_before_the_next_runs(shop):
    shop.task_row('mails', last_outcome='lost', last_finished=at('23 22:01'))
    shop.last_tick('23 23:00')
    lines = shop.pcron('show mails')[1].splitlines()
    assert lines[7:10] == [
        '  state      lost yesterday 23:01, by hand',
        '  problems   no tick for 7 min',
        '             lost, Wed 2026-12-23 23:01',
    ]


def test_a_gap_shows_why_its_ticks_failed(shop):
    shop.remember(gaps, app='shop', first_minute=at('23 22:02'), last_minute=at('23 22:58'), problem='the disk is full')
    shop.last_tick('23 23:06')
    assert shop.history().splitlines()[1] == (
        '23:02     ticks failed from 23:02 to 23:58 (57 min): the disk is full; nothing'
    )


def test_a_failed_tick_is_a_problem_now(shop):
    shop.remember(ticks, app='shop', last_minute=at('23 23:06'), problem='task mails: locked')
    assert shop.history().splitlines()[-2:] == ['Now', 'tick failed  task mails: locked']
