from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.memory_claims import MemoryRun
from pyramid_cron.queues.handover import EngineAdapter, Handover
from pyramid_cron.run_keys import read_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.tasks import Task

MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)


def task(**options):
    return Task(print, name='invoices', timezone='Europe/Berlin', **options)


def sent(run, **options):
    """Return the handover of a run."""
    found = []
    values = {'catch_up': timedelta(minutes=5), 'config_uri': None, 'within_claim': False, 'broker': None} | options
    EngineAdapter(found.append, 'a queue', 'shop', **values).enqueue(run)
    return found[0]


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


def test_a_further_attempt_expires_by_the_time_at_which_it_is_enqueued():
    class Further(MemoryRun):
        attempt = 2

    minute = current_minute() - timedelta(hours=2)
    before = current_minute()
    assert sent(MemoryRun(None, task(), minute)).expires == minute + timedelta(minutes=5)
    assert sent(Further(None, task(), minute)).expires >= before + timedelta(minutes=5)
