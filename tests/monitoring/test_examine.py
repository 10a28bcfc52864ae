"""The same problems in health, metrics, the page, the toolbar and ``pcron``."""

import json
import re
import shlex
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, insert, update
from webtest import TestApp

from pyramid_cron.monitoring.examine import examine
from pyramid_cron.monitoring.problems import LONGEST_SILENCE
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.store.schema import runs, tasks, ticks
from pyramid_cron.toolbar import CronDebugPanel
from tests.support.clock import set_clock
from tests.support.filling import ran
from tests.support.states import in_progress

# a Wednesday; the clock of the machine is another one, which decides nothing
NOW = datetime(2020, 11, 25, 2, 0, 30, tzinfo=timezone.utc)
TICK = datetime(2020, 11, 25, 2, 0, tzinfo=timezone.utc)

APP = """
from pyramid.authorization import Everyone
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.add_cron_status('/status', permission=NO_PERMISSION_REQUIRED)
        config.add_cron_task(print, name='hourly', cron='0 * * * *')
        config.add_cron_task(print, name='weekly', cron='0 2 * * mon')
        return config.make_wsgi_app()
"""

INI = """
[app:main]
use = call:{module}:main
cron.app = shop
cron.timezone = UTC
cron.store = sqlite:///{folder}/cron.sqlite
"""


class Shop:
    """An application of two tasks, looked at in each way that there is, at an instant of the database's clock."""

    def __init__(self, folder, module, monkeypatch, capsys):
        self.now, self._capsys = NOW, capsys
        self._ini = folder / 'shop.ini'
        self._ini.write_text(INI.format(module=module, folder=folder))
        monkeypatch.setenv('COLUMNS', '100')
        self.command = self._load(['list'])
        self.registry = self.command.registry
        self._browser = TestApp(self.command.app, extra_environ={'REMOTE_ADDR': '127.0.0.1'})
        self.execute(insert(ticks).values(app='shop', last_minute=TICK))
        for name in ('hourly', 'weekly'):
            known = {'schedule': '', 'first_seen': TICK - timedelta(days=30)}
            ok = {'last_outcome': 'ok', 'last_outcome_for': TICK, 'last_finished': NOW, 'last_seconds': 0.2}
            self.execute(insert(tasks).values(app='shop', task=name, attempt=1, transactional=False, **known, **ok))

    def _load(self, words):
        shop = self

        class Command(PCronCommand):
            now = staticmethod(lambda: shop.now)

            def load(self):
                super().load()
                set_clock(self.registry['cron_store'].database.engine, self.now)

        name, *more = words
        command = Command(['pcron', name, str(self._ini), *more])
        command.load()
        return command

    def close(self):
        self.registry['cron_store'].database.engine.dispose()

    def execute(self, statement):
        # makes the tables
        with self.registry['cron_store'].database.begin():
            pass
        with self.registry['cron_store'].database.engine.begin() as connection:
            connection.execute(statement)

    def change(self, task, **values):
        self.execute(update(tasks).where(tasks.c.task == task).values(**values))

    def remember(self, task, minute, **values):
        self.execute(insert(runs).values(ran('shop', task, minute, **values)))

    def pcron(self, line):
        command = self._load(shlex.split(line))
        status = command.run()
        command.registry['cron_store'].database.engine.dispose()
        out, err = self._capsys.readouterr()
        assert (status, err) == (0, '')
        return out

    def page(self, path=''):
        return self._browser.get(f'/status{path}').text

    def notices(self, path=''):
        """Return the text of what needs attention, of all tasks or of one."""
        page = self.page(path).partition('<main')[2]
        part = page.partition('id="attention"')[2].partition('</section>')[0] if not path else page
        found = re.findall(r'<(?:li|p) class="[^"]*(?:bad|warn|quiet)">(.*?)</(?:li|p)>', part, re.DOTALL)
        return [' '.join(re.sub(r'<span class="symbol"[^>]*>.</span>|<[^>]*>', '', text).split()) for text in found]

    def health(self):
        return self._browser.get('/cron/health', status='*')

    def metrics(self):
        return self._browser.get('/cron/metrics').text

    def toolbar(self):
        return CronDebugPanel(SimpleNamespace(registry=self.registry)).render_content(None)


@pytest.fixture
def shop(tmp_path, write_module, monkeypatch, capsys):
    shop = Shop(tmp_path, write_module(APP), monkeypatch, capsys)
    yield shop
    shop.close()


def line_of(text, beginning):
    (line,) = (line for line in text.splitlines() if line.strip().startswith(beginning))
    return ' '.join(line.split())


def section(text, heading):
    return [' '.join(line.split()) for line in text.partition(f'\n{heading}\n')[2].splitlines()]


@pytest.mark.slow
def test_nothing_is_wrong_anywhere(shop):
    assert shop.health().text.startswith('ok, last tick 30 s ago')
    assert shop.notices() == []
    assert 'Ticks come, and nothing is wrong with any task.' in shop.page()
    assert [task['problems'] for task in json.loads(shop.pcron('list --json'))['tasks']] == [[], []]
    assert 'problems' not in shop.pcron('show hourly')
    assert 'Now' not in shop.pcron('history')
    assert examine(shop.registry).problems == []


@pytest.mark.slow
def test_a_failure_stays_while_the_next_run_goes_on(shop):
    ten_minutes = NOW - timedelta(minutes=10)
    failed = {'last_outcome': 'failed', 'last_outcome_for': TICK - timedelta(minutes=10), 'last_finished': ten_minutes}
    running = in_progress(NOW - timedelta(seconds=20))
    shop.change('hourly', **failed, last_error='Timeout', failures_in_a_row=1, **running)
    shop.remember('hourly', TICK, outcome='running', id='token', started=NOW - timedelta(seconds=20))
    health = shop.health()
    assert (health.status_int, health.text) == (503, 'fail: last tick 30 s ago; failed: hourly')
    assert 'pyramid_cron_task_problem{problem="failed",task="hourly"} 1.0' in shop.metrics()
    assert [text.split(' after ')[0] for text in shop.notices()] == ['failed hourly failed at 01:50']
    assert shop.notices('/task?name=hourly')[0].startswith('failed failed at 01:50')
    row = shop.page().partition('<tbody')[2].partition('name=hourly')[2].partition('</tr>')[0]
    assert '✗</span>failed <a href=' in row
    assert '<time datetime="2020-11-25T01:50+00:00">' in row
    assert '>Timeout</p>' in row
    assert '>running ' in row
    assert shop.pcron('list').splitlines()[1].endswith('failed 01:50')
    assert shop.pcron('list').splitlines()[2] == '    Timeout; running'
    shown = json.loads(shop.pcron('list hourly --json'))['tasks'][0]
    assert (shown['problems'], shown['last']['outcome']) == (['failed'], 'failed')
    assert shown['last']['running_since'] == '2020-11-25T02:00:10+00:00'
    assert 'problems failed, Wed 2020-11-25 01:50: Timeout' in ' '.join(shop.pcron('show hourly').split())
    assert section(shop.pcron('history'), 'Now') == ['failed hourly, Wed 2020-11-25 01:50: Timeout']
    assert json.loads(shop.pcron('history --json'))['problems'] == [{'kind': 'failed', 'task': 'hourly'}]
    assert re.search('<td>failed [^<]*01:50; 0.200 s; Timeout; running [^<]*</td>', shop.toolbar())


@pytest.mark.slow
def test_a_week_is_not_too_long_for_a_miss(shop):
    monday = TICK - timedelta(days=2)
    shop.change('weekly', last_outcome='missed', last_outcome_for=monday, last_finished=monday - timedelta(days=7))
    assert shop.health().text == 'fail: last tick 30 s ago; missed: weekly'
    assert 'pyramid_cron_task_problem{problem="missed",task="weekly"} 1.0' in shop.metrics()
    assert shop.notices() == ['missed weekly missed at Mon 2020-11-23 02:00']
    assert shop.notices('/task?name=weekly')[0] == 'missed missed at Mon 2020-11-23 02:00'
    row = shop.page().partition('<tbody')[2].partition('name=weekly')[2].partition('</tr>')[0]
    assert '○</span>missed <a href=' in row
    assert '<time datetime="2020-11-23T02:00+00:00">Mon 2020-11-23 02:00</time></a></span>' in row
    assert shop.pcron('list').splitlines()[2].endswith('missed Mon 2020-11-23 02:00')
    assert 'problems missed, Mon 2020-11-23 02:00' in ' '.join(shop.pcron('show weekly').split())
    assert section(shop.pcron('history'), 'Now') == ['missed weekly, Mon 2020-11-23 02:00']
    assert '<td>missed ' in shop.toolbar()


@pytest.mark.slow
def test_a_run_of_two_hours_is_stuck_everywhere(shop):
    began = NOW - timedelta(hours=2)
    shop.change('hourly', **in_progress(began))
    shop.remember('hourly', TICK - timedelta(hours=2), outcome='running', id='token', started=began)
    assert shop.health().text == 'fail: last tick 30 s ago; stuck: hourly (running for 2 h 0 min)'
    assert 'pyramid_cron_task_problem{problem="stuck",task="hourly"} 1.0' in shop.metrics()
    assert 'pyramid_cron_task_running_seconds{task="hourly"} 7200.0' in shop.metrics()
    assert shop.notices() == ['stuck hourly stuck, running for 2 h 0 min']
    assert shop.notices('/task?name=hourly')[0] == 'stuck stuck, running for 2 h 0 min'
    row = shop.page().partition('<tbody')[2].partition('name=hourly')[2].partition('</tr>')[0]
    assert '!</span>stuck <a href=' in row
    history = shop.page('/task?name=hourly').partition('<ol class="history">')[2]
    assert '!</span>stuck</span>' in history
    due = shop.page('/due?at=2020-11-25T00:00')
    assert '!</span>stuck</span>' in due
    assert shop.pcron('list').splitlines()[1].endswith('stuck 2 h 0 min')
    out = shop.pcron('show hourly')
    assert line_of(out, 'problems') == 'problems stuck, running for 2 h 0 min'
    assert line_of(out, 'last runs').endswith('00:00, stuck for 2 h 0 min')
    out = shop.pcron('history')
    assert line_of(out, '00:00:30').startswith('00:00:30 stuck 2 h 0 min hourly')
    assert section(out, 'Now') == ['stuck hourly, running for 2 h 0 min']
    assert '<td>stuck' in shop.toolbar()


# SQLite counts in days, which have no shorter parts
MOMENT = timedelta(milliseconds=1)


@pytest.mark.slow
@pytest.mark.parametrize(('more', 'silent'), [(-MOMENT, False), (MOMENT, True)])
def test_silence_begins_everywhere_at_the_same_instant(shop, more, silent):
    shop.now = TICK + LONGEST_SILENCE + more
    assert (shop.health().status_int == 503) is silent
    assert f'pyramid_cron_no_tick {float(silent)}' in shop.metrics()
    assert [text[:27] for text in shop.notices()] == ['no tick No tick since 02:00'] * silent
    assert ('No tick for 2 min.' in shop.pcron('list')) is silent
    assert json.loads(shop.pcron('list --json'))['no_tick'] is silent
    assert ('no tick for 2 min' in shop.pcron('show hourly')) is silent
    assert ('no tick since 02:01' in shop.pcron('history')) is silent
    assert (json.loads(shop.pcron('history --json'))['silence'] is not None) is silent
    assert ('No tick since 02:00' in shop.toolbar()) is silent


@pytest.mark.slow
def test_a_first_tick_is_waited_for_everywhere(shop):
    shop.execute(delete(ticks))
    assert shop.health().text == 'fail: no tick has come yet'
    assert shop.notices() == ['no tick No tick has come yet: nothing has requested the trigger']
    assert 'No tick has come yet.' in shop.pcron('list')
    assert 'no tick has come yet' in shop.pcron('show hourly')
    assert 'no tick has come yet' in shop.pcron('history')
    assert 'No tick has come yet' in shop.toolbar()


@pytest.mark.slow
def test_an_empty_history_changes_nothing_but_the_history(shop):
    shop.change('hourly', last_outcome='failed', last_error='Timeout', failures_in_a_row=1)
    shop.change('weekly', last_outcome='missed', last_outcome_for=TICK - timedelta(days=2))

    def remember():
        shop.remember('hourly', TICK, outcome='failed', error='Timeout')
        shop.remember('weekly', TICK - timedelta(days=2), outcome='missed', attempt=0)

    def look():
        page = shop.page()
        # the pictures of the last runs are of the history
        rows = page.partition('<table')[2]
        table = re.sub(r'<svg.*?</svg>|<span class="none">none yet</span>', '', rows, flags=re.DOTALL)
        out = [shop.pcron(line) for line in ('list', 'list --json')]
        problems = line_of(shop.pcron('show hourly'), 'problems')
        now = section(shop.pcron('history'), 'Now')
        panel = re.sub('<td>Last (run|[0-9]+ runs): [^<]*</td>|<td></td>', '', shop.toolbar())
        return shop.health().text, shop.metrics(), shop.notices(), out, problems, now, panel, table

    def look_without():
        shop.execute(delete(runs))
        return look()

    remember()
    assert '<svg' in shop.page()
    before, after = look(), look_without()
    if after != before:
        # the minute may have turned between the two, by which the page has other next runs
        remember()
        before, after = look(), look_without()
    assert after == before
    assert '<svg' not in shop.page()
    assert shop.pcron('history').startswith('Nothing that matches is recorded.')


@pytest.mark.slow
def test_minutes_of_the_future_are_faults_everywhere(shop):
    shop.now = TICK - timedelta(hours=1)
    shop.change('hourly', last_minute=TICK)
    tick = "tick failed: the last tick is 1 h 0 min ahead of the database's clock"
    task = "its row is 1 h 0 min ahead of the database's clock"
    assert shop.health().text == f'fail: last tick 0 s ago; {tick}; ahead: hourly'
    assert 'pyramid_cron_tick_failed 1.0' in shop.metrics()
    assert 'pyramid_cron_task_problem{problem="ahead",task="hourly"} 1.0' in shop.metrics()
    page = [text.replace('&#39;', "'") for text in shop.notices()]
    assert page == [f'tick failed {tick.capitalize()}', f'ahead hourly ahead at 02:00: {task}']
    assert f'{tick.capitalize()}.' in ' '.join(shop.pcron('list').split())
    shown = json.loads(shop.pcron('list --json'))
    assert (shown['tick_failed'], shown['problem']) == (True, tick)
    assert [row['problems'] for row in shown['tasks']] == [['ahead'], []]
    assert f'ahead, Wed 2020-11-25 02:00: {task}' in ' '.join(shop.pcron('show hourly').split())
    now = ' '.join(section(shop.pcron('history'), 'Now'))
    assert now.endswith(f'ahead hourly, Wed 2020-11-25 02:00: {task}')
    assert tick.capitalize() in shop.toolbar().replace('&#x27;', "'")


@pytest.mark.slow
def test_a_task_is_overdue_everywhere_while_no_tick_comes(shop):
    shop.now = NOW + timedelta(hours=3)
    shop.change('hourly', last_minute=TICK, next_due=TICK + timedelta(hours=1))
    health = shop.health()
    assert health.text == 'fail: last tick 3 h 0 min ago; overdue: hourly (due for 2 h)'
    assert 'pyramid_cron_task_problem{problem="overdue",task="hourly"} 1.0' in shop.metrics()
    # that no tick comes is the one notice of it
    [notice] = shop.notices()
    assert notice.startswith('no tick No tick since 02:00')
    assert notice.endswith('due since then: hourly')
    assert shop.notices('/task?name=hourly') == ['overdue overdue, due for 2 h: no tick has come since then']
    row = shop.page().partition('<tbody')[2].partition('name=hourly')[2].partition('</tr>')[0]
    assert '…</span>overdue <time datetime="2020-11-25T03:00+00:00">' in row
    assert 'no tick has come since then</p>' in row
    assert '<p>if ticks come</p>' in row
    lines = shop.pcron('list').splitlines()
    assert lines[1].startswith('(06:00)')
    assert 'if ticks come' in lines[1]
    assert lines[1].endswith('overdue 2 h')
    assert lines[2] == '    no tick has come since then'
    assert 'if ticks come' in shop.pcron('list --next 1')
    out = shop.pcron('show hourly')
    assert line_of(out, 'last due').endswith('05:00: did not run yet: no tick has come for it (no tick for 3 h 0 min);')
    assert line_of(out, 'next runs').endswith('if ticks come')
    assert section(shop.pcron('history'), 'Now') == []
    assert json.loads(shop.pcron('list hourly --json'))['tasks'][0]['problems'] == ['overdue']
    assert 'overdue 2 h; no tick has come since then' in shop.toolbar()
