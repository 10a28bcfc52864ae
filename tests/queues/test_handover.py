from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.claims import Delivery
from pyramid_cron.memory_claims import MemoryRun
from pyramid_cron.queues.handover import EngineAdapter, Handover, read_key, write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.tasks import Task

MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
TOKEN = '0123456789abcdef' * 2


def task(**options):
    return Task(print, name='invoices', timezone='Europe/Berlin', **options)


def sent(run, **options):
    """Return the handover of a run."""
    found = []
    values = {'catch_up': timedelta(minutes=5), 'config_uri': None, 'within_claim': False, 'broker': None} | options
    EngineAdapter(found.append, 'a queue', 'shop', **values).enqueue(run)
    return found[0]


def test_a_key_holds_its_minute_in_utc():
    key = write_key('shop', 'invoices', MINUTE.astimezone(timezone(timedelta(hours=-5))), None)
    assert key == 'shop:invoices@2026-11-24T02:00Z'
    assert read_key('shop', key) == Delivery('invoices', MINUTE)


def test_a_key_without_minute_ends_in_a_token():
    assert read_key('shop', write_key('shop', 'invoices', None, TOKEN)) == Delivery('invoices', None, TOKEN)
    made = read_key('shop', write_key('shop', 'invoices', None, None))
    assert (made.task, made.minute, len(made.token)) == ('invoices', None, 32)


@pytest.mark.parametrize('name', ['a@b', 'a:b', 'shop.tasks.<lambda>#2', 'a b@2026-11-24T02:00Z', 'ü', 'two\nlines'])
def test_a_name_may_hold_the_separators_of_keys(name):
    assert read_key('a:b', write_key('a:b', name, MINUTE, None)) == Delivery(name, MINUTE)


@pytest.mark.parametrize(
    'key',
    [
        '',
        'invoices@2026-11-24T02:00Z',
        'other:invoices@2026-11-24T02:00Z',
        'shop:invoices',
        'shop:@2026-11-24T02:00Z',
        'shop:invoices@2026-11-24T02:00',
        'shop:invoices@2026-11-24T02:00Z\n',
        f'shop:invoices@{TOKEN}0',
        b'shop:invoices@2026-11-24T02:00Z',
        None,
    ],
)
def test_a_bad_key_is_refused(key):
    with pytest.raises(ValueError, match=r'is no key of shop, such as shop:task@2026-11-24T02:00Z'):
        read_key('shop', key)


def test_a_key_of_an_impossible_minute_is_refused():
    with pytest.raises(ValueError, match='names a minute that does not exist'):
        read_key('shop', 'shop:invoices@2026-02-30T02:00Z')


def test_a_handover_has_local_minute_and_expiry():
    handover = sent(MemoryRun(None, task(), MINUTE))
    assert handover == (
        'shop:invoices@2026-11-24T02:00Z',
        'invoices',
        MINUTE,
        MINUTE + timedelta(minutes=5),
        None,
    )
    assert str(handover.scheduled_for) == '2026-11-24 03:00:00+01:00'


@pytest.mark.parametrize(('catch_up', 'seconds'), [(600, 600), (0, 60), (None, 300)])
def test_a_handover_expires_a_minute_later_at_least(catch_up, seconds):
    assert sent(MemoryRun(None, task(catch_up=catch_up), MINUTE)).expires == MINUTE + timedelta(seconds=seconds)


def test_a_handover_by_name_is_for_now():
    before = current_minute()
    handover = sent(MemoryRun(None, task(), None))
    assert before <= handover.scheduled_for <= current_minute()
    assert read_key('shop', handover.key).minute is None


def test_the_command_names_the_configuration_file():
    handover = sent(MemoryRun(None, task(), MINUTE), config_uri='/etc/shop.ini#shop')
    assert handover.command == ('pcron', 'perform', '/etc/shop.ini#shop', 'shop:invoices@2026-11-24T02:00Z')


def test_without_a_configuration_file_there_is_no_command():
    with pytest.raises(LookupError, match=r'set cron\.config_uri = %\(__file__\)s'):
        Handover('key', 'task', MINUTE, MINUTE, None).command  # noqa: B018


def test_an_engine_within_the_claim_gets_its_connection():
    found = []
    engine = EngineAdapter(lambda *given: found.append(given), 'a queue', 'shop', timedelta(0), None, True, None)
    engine.enqueue_all([MemoryRun(None, task(), MINUTE, engine=engine)], 'a connection')
    [(handovers, connection)] = found
    assert [handover.task for handover in handovers] == ['invoices']
    assert connection == 'a connection'
    assert str(engine) == 'a queue'
