"""``pcron plan``."""

import getpass
import json
from datetime import timedelta

import pytest
from sqlalchemy import insert, inspect, update

from pyramid_cron.names import ALL_TASKS
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import VERSION
from pyramid_cron.store.schema import pauses, processes, schema, tasks
from pyramid_cron.testing import tick
from tests.support.pcron import NOW, FixedCommand

SHOWN = '.'.join(map(str, VERSION))
END = 'Times are in Europe/Berlin.\n'
INVOICES = "plain, cron='0 2 * * *', name='shop.invoices'"
MAIL = "plain, cron='0 9 * * mon-fri', name='shop.mail'"
STOCK = "plain, min='*', name='shop.stock'"


@pytest.fixture
def write(ini, tmp_path):
    """Write the ini file of an application with a store and these tasks."""

    def write(*lines, more=''):
        store = f'cron.timezone = Europe/Berlin\ncron.app = shop\ncron.store = sqlite:///{tmp_path}/cron.sqlite\n'
        return ini(*lines, settings=f'{store}{more}')

    return write


@pytest.fixture
def engine_of_store(tmp_path):
    engine = make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None)
    yield engine
    engine.dispose()


@pytest.fixture
def deployed(write):
    """Make a tick of an application with these tasks, and return its store."""
    made = []

    def deploy(*lines, minutes=1, **options):
        command = FixedCommand(['pcron', 'list', write(*lines, **options)])
        command.load()
        made.append(command.registry['cron_store'])
        for minute in range(minutes):
            tick(command.registry, NOW - (minutes - minute) * MINUTE)
        return command.registry['cron_store']

    yield deploy
    for store in made:
        store.database.engine.dispose()


def test_a_deploy_that_changes_nothing_is_stated(pcron, write, deployed):
    deployed(INVOICES, STOCK)
    assert pcron('plan', write(INVOICES, STOCK)) == (
        0,
        'shop has 2 tasks in the code and 2 in the store. A deploy changes none of them.\n' + END,
        '',
    )


@pytest.mark.slow
def test_what_a_deploy_would_lose_comes_first(pcron, write, deployed):
    deployed(INVOICES, MAIL, STOCK).pause(['shop.mail'], reason='mail is down', requested_by='ada')
    path = write(
        "plain, min='*/5', name='shop.stock'",
        "plain, cron='0 9 * * mon-fri', name='shop.letters'",
        "fails, cron='0 0 1 1 *', name='shop.bonus'",
    )
    status, out, err = pcron('plan', path)
    assert (status, err) == (3, '')
    assert out == (
        'gone      shop.invoices\n'
        '          0 2 * * * (Europe/Berlin)\n'
        '          7 runs in 7 days vanish, the first Thu 2026-12-24 02:00\n'
        '          register it again, or confirm its removal with --gone\n'
        'gone      shop.mail\n'
        '          0 9 * * mon-fri (Europe/Berlin)\n'
        '          perhaps it is shop.letters now, which has the same function and\n'
        "          schedule: register that with was='shop.mail'\n"
        '          loses its pause: paused by ada until it is resumed: mail is down\n'
        'changed   shop.stock\n'
        '          * * * * * (Europe/Berlin) becomes */5 * * * * (Europe/Berlin)\n'
        '          8,064 runs in 7 days vanish, the first Thu 2026-12-24 00:08\n'
        'new       shop.letters\n'
        '          0 9 * * mon-fri (Europe/Berlin)\n'
        '          5 runs in 7 days appear, the first Thu 2026-12-24 09:00\n'
        'new       shop.bonus\n'
        '          0 0 1 1 * (Europe/Berlin)\n'
        '\n'
        'shop has 3 tasks in the code and 3 in the store. In 7 days 8,071 runs vanish and\n'
        '5 appear. A deploy loses shop.invoices; shop.mail and its pause. Times are in\n'
        'Europe/Berlin.\n'
    )
    assert all(len(line) <= 80 for line in out.splitlines())
    confirmed = pcron('plan', path, '--gone', 'shop.invoices', '--gone', 'shop.mail')
    assert confirmed[0] == 0
    assert 'loses' not in confirmed[1]
    assert 'confirm' not in confirmed[1]
    narrow = pcron('plan', path, columns=40)[1]
    assert all(len(line) <= 40 for line in narrow.splitlines())


@pytest.mark.slow
def test_the_history_has_what_a_plan_changes_and_for_which_account(pcron, write, deployed):
    store = deployed(INVOICES, MAIL, STOCK)
    path = write(INVOICES, MAIL.replace('0 9', '0 8'))
    assert pcron('plan', path)[0] == 3
    with store.queries() as queries:
        entries = queries.actions(10)
    planned = {(entry.task, entry.action, entry.reason, entry.requested_by) for entry in entries}
    user = getpass.getuser()
    assert planned == {('shop.mail', 'planned', 'changed', user), ('shop.stock', 'planned', 'gone', user)}
    out = pcron('history', path, 'shop.mail', '--since', '1d')[1]
    assert f'planned by {user}: changed' in ' '.join(out.split())


def test_an_account_that_may_only_read_can_make_a_plan(pcron, write, deployed, engine_of_store):
    deployed(INVOICES, STOCK)
    with engine_of_store.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER readonly BEFORE INSERT ON cron_audit BEGIN SELECT RAISE(ABORT, 'read only'); END"
        )
    status, out, err = pcron('plan', write(INVOICES))
    assert (status, out.splitlines()[0]) == (3, 'gone      shop.stock')
    assert err.startswith('pcron: the history does not have this plan: ')


def test_a_task_that_is_there_cannot_be_confirmed_as_gone(pcron, write, deployed):
    assert pcron('plan', write(INVOICES), '--gone', 'shop.invoices') == (
        2,
        '',
        'pcron: --gone shop.invoices: it is registered here; leave the option out\n',
    )


@pytest.mark.parametrize('stored', [True, False])
def test_a_task_that_never_was_confirms_nothing(pcron, write, deployed, stored):
    if stored:
        deployed(INVOICES, MAIL)
    status, out, err = pcron('plan', write(INVOICES), '--gone', 'shop.mial')
    assert (status, 'gone      shop.mail' in out) == ((3, True) if stored else (0, False))
    assert err == 'pcron: --gone shop.mial: the store has no such task, and nothing is confirmed\n'


def test_single_runs_and_overrides_are_worded(pcron, write, deployed):
    deployed("plain, cron='0 2 24 12 *', name='eve'", MAIL)
    path = write("plain, cron='0 2 25 12 *', name='eve'", MAIL, more='cron.schedules = shop.mail = off')
    assert pcron('plan', path)[1] == (
        'changed   eve\n'
        '          0 2 24 12 * (Europe/Berlin) becomes 0 2 25 12 * (Europe/Berlin)\n'
        '          one run in 7 days vanishes, Thu 2026-12-24 02:00\n'
        '          one run in 7 days appears, Fri 2026-12-25 02:00\n'
        'changed   shop.mail\n'
        '          0 9 * * mon-fri (Europe/Berlin) becomes off (Europe/Berlin), by\n'
        '          cron.schedules\n'
        '          5 runs in 7 days vanish, the first Thu 2026-12-24 09:00\n'
        '\n'
        'shop has 2 tasks in the code and 2 in the store. In 7 days 6 runs vanish and 1\n'
        'appear. Times are in Europe/Berlin.\n'
    )


@pytest.mark.slow
def test_pauses_and_runs_in_progress_are_shown(pcron, write, deployed, engine_of_store):
    store = deployed(INVOICES, MAIL, STOCK)
    store.pause(['shop.mail'], reason='mail is down', until=NOW + timedelta(days=1))
    started = (NOW - 3 * MINUTE).timestamp()
    with engine_of_store.begin() as connection:
        other = {'id': 'other', 'host': 'web1', 'pid': 7, 'lease_until': NOW.timestamp() + 9999}
        connection.execute(insert(processes).values(other))
        claimed = {'run_id': 'token', 'started_at': started}
        connection.execute(update(tasks).where(tasks.c.task == 'shop.stock').values(process='other', **claimed))
        queued = update(tasks).where(tasks.c.task == 'shop.invoices')
        connection.execute(queued.values(handed_over_for='token', **claimed))
    assert pcron('plan', write(INVOICES, MAIL, STOCK)) == (
        0,
        'enqueued  shop.invoices\n'
        '          enqueued since Thu 2026-12-24 00:04\n'
        'paused    shop.mail\n'
        '          paused until Fri 2026-12-25 00:07: mail is down\n'
        'running   shop.stock\n'
        '          running since Thu 2026-12-24 00:04\n'
        '\n'
        'shop has 3 tasks in the code and 3 in the store. A deploy changes none of them.\n' + END,
        '',
    )


def test_names_that_change_by_was_are_shown(pcron, write, deployed):
    deployed(INVOICES, MAIL, minutes=2)
    path = write("fails, cron='0 2 * * *', name='bills', was='shop.invoices'", MAIL)
    assert pcron('plan', path)[1] == (
        'renamed   bills\n'
        '          0 2 * * * (Europe/Berlin)\n'
        '          takes over the row, the pause and the history of shop.invoices\n'
        '\n'
        'shop has 2 tasks in the code and 2 in the store. Times are in Europe/Berlin.\n'
    )


@pytest.mark.slow
def test_what_leaves_and_what_was_gone_is_shown(pcron, write, deployed, engine_of_store):
    store = deployed(INVOICES, MAIL, STOCK, minutes=2)
    store.pause(['shop.mail'], reason='mail is down')
    with engine_of_store.begin() as connection:
        long_ago = update(tasks).where(tasks.c.task != 'shop.mail').values(last_seen=NOW - timedelta(hours=2))
        connection.execute(long_ago)
        unreadable = update(tasks).where(tasks.c.task == 'shop.invoices').values(schedule='v9')
        connection.execute(unreadable)
    status, out, _ = pcron('plan', write(MAIL.replace('name', 'store=False, name'), STOCK))
    assert status == 3
    assert out == (
        'leaves    shop.mail\n'
        '          0 9 * * mon-fri (Europe/Berlin)\n'
        '          store=False: each process runs it for itself\n'
        '          loses its pause: paused until it is resumed: mail is down\n'
        'back      shop.stock\n'
        '          * * * * * (Europe/Berlin)\n'
        '          10,080 runs in 7 days appear, the first Thu 2026-12-24 00:08\n'
        '          owes nothing from the time without it\n'
        'was gone  shop.invoices\n'
        '          a schedule that cannot be read here\n'
        '\n'
        'shop has 1 task in the code and 3 in the store. In 7 days 0 runs vanish and\n'
        '10,080 appear. A deploy loses the pause of shop.mail. Times are in\n'
        'Europe/Berlin.\n'
    )


def test_a_first_deploy_creates_the_tables(pcron, write, tmp_path):
    status, out, _ = pcron('plan', write(INVOICES))
    assert (status, out) == (
        0,
        f'The store has no tables yet, and this code needs version {SHOWN}: its first tick\n'
        'creates them.\n'
        '\n'
        'new       shop.invoices\n'
        '          0 2 * * * (Europe/Berlin)\n'
        '          7 runs in 7 days appear, the first Thu 2026-12-24 02:00\n'
        '\n'
        'shop has 1 task in the code and 0 in the store. In 7 days 0 runs vanish and 7\n'
        'appear. Times are in Europe/Berlin.\n',
    )
    assert not (tmp_path / 'cron.sqlite').exists()


@pytest.mark.slow
@pytest.mark.parametrize('creates', [True, False])
def test_older_tables_are_stated(pcron, write, deployed, engine_of_store, creates):
    deployed(INVOICES)
    with engine_of_store.begin() as connection:
        connection.execute(update(schema).values(version='1.1'))
        connection.exec_driver_sql('ALTER TABLE cron_tasks DROP COLUMN callable')
    path = write(INVOICES, more='' if creates else 'cron.create_tables = false')
    status, out, _ = pcron('plan', path)
    words = ' '.join(out.split())
    known = f'The store has tables of version 1.1, and this code needs version {SHOWN}: '
    if creates:
        assert status == 0
        assert words.startswith(f'{known}its first tick upgrades them. shop has 1 task ')
    else:
        assert status == 1
        assert words.startswith(
            f'{known}apply what "pcron store upgrade CONFIG_URI --sql" prints, because cron.create_tables is false.'
        )
    assert 'callable' not in {column['name'] for column in inspect(engine_of_store).get_columns('cron_tasks')}
    shown = json.loads(pcron('plan', path, '--json')[1])
    assert shown['tables'] == {'version': '1.1', 'needed': SHOWN, 'outdated': True, 'upgraded_by_tick': creates}


def test_json_has_all_of_it(pcron, write, deployed):
    deployed(INVOICES, MAIL).pause(['shop.mail'], reason='mail is down', until=NOW + timedelta(days=1))
    status, out, _ = pcron('plan', write(INVOICES, MAIL.replace('mail', 'letters')), '--json')
    assert status == 3
    shown = json.loads(out)
    same, new, gone = shown.pop('tasks')
    assert shown == {
        'at': '2026-12-24T00:07:00+01:00',
        'at_utc': '2026-12-23T23:07:00+00:00',
        'until_utc': '2026-12-30T23:07:00+00:00',
        'app': 'shop',
        'tables': {'version': SHOWN, 'needed': SHOWN, 'outdated': False, 'upgraded_by_tick': True},
        'lost': [{'task': 'shop.mail', 'what': 'task'}, {'task': 'shop.mail', 'what': 'pause'}],
        'appear': 5,
        'vanish': 4,
    }
    nothing = {'runs': 0, 'first_utc': None}
    assert (same['name'], same['change'], same['appear'], same['vanish']) == ('shop.invoices', 'same', nothing, nothing)
    assert (new['name'], new['change'], new['schedule_in_store']) == ('shop.letters', 'new', None)
    assert new['appear'] == {'runs': 5, 'first_utc': '2026-12-24T08:00:00+00:00'}
    assert gone == {
        'name': 'shop.mail',
        'change': 'gone',
        'former_name': None,
        'schedule': None,
        'schedule_by': None,
        'timezone': None,
        'schedule_in_store': '0 9 * * mon-fri',
        'timezone_in_store': 'Europe/Berlin',
        'appear': nothing,
        'vanish': {'runs': 4, 'first_utc': '2026-12-25T08:00:00+00:00'},
        'perhaps': {'task': 'shop.letters', 'why': 'the same function and schedule'},
        'paused': {'until': '2026-12-24T23:07:30+00:00', 'reason': 'mail is down', 'requested_by': None},
        'running_since': None,
        'lost': ['task', 'pause'],
    }


def test_a_plan_needs_a_store_that_answers(pcron, ini, tmp_path):
    assert pcron('plan', ini(INVOICES))[::2] == (
        2,
        'pcron: plan needs cron.store, which is not set; write, for example, cron.store = '
        'sqlite:///%(here)s/cron.sqlite\n',
    )
    away = ini(INVOICES, settings='cron.store = postgresql+psycopg://localhost:1/none')
    status, out, err = pcron('plan', away)
    assert (status, out) == (1, '')
    assert err.startswith('pcron: the store is not available: ')


def test_a_pause_of_all_tasks_is_shown_once(pcron, write, deployed, engine_of_store):
    deployed(INVOICES, MAIL)
    values = {'app': 'shop', 'task': '*', 'until': NOW + timedelta(days=2), 'reason': 'we move'}
    with engine_of_store.begin() as connection:
        connection.execute(insert(pauses).values(values))
    assert pcron('plan', write(INVOICES, MAIL)) == (
        0,
        'All tasks are paused until Sat 2026-12-26 00:07: we move\n'
        '\n'
        'shop has 2 tasks in the code and 2 in the store. A deploy changes none of them.\n' + END,
        '',
    )


def test_a_pause_of_all_tasks_may_last_until_they_are_resumed(pcron, write, deployed):
    deployed(INVOICES).pause([ALL_TASKS], reason='we move', requested_by='ada')
    out = pcron('plan', write(INVOICES))[1]
    assert out.startswith('All tasks are paused by ada until they are resumed: we move\n\n')
