from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import PastRun
from pyramid_cron.run_keys import is_key, key_of, key_token, read_key, same_run, write_key

MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
TOKEN = '0123456789abcdef' * 2
# of the same run
OTHER = TOKEN[:22] + 10 * 'f'
IN_KEY = TOKEN[:22] + 10 * '0'
RUN = PastRun(**dict.fromkeys(PastRun._fields) | {'task': 'invoices', 'attempt': 1, 'id': TOKEN})


def test_a_key_holds_its_minute_in_utc():
    key = write_key('shop', 'invoices', MINUTE.astimezone(timezone(timedelta(hours=-5))), None)
    assert key == 'shop:invoices@2026-11-24T02:00Z'
    assert read_key('shop', key) == Delivery('invoices', MINUTE)


def test_a_key_without_minute_ends_in_a_token():
    assert read_key('shop', write_key('shop', 'invoices', None, TOKEN)) == Delivery('invoices', None, IN_KEY)
    assert read_key('shop', f'shop:invoices@{TOKEN}') == Delivery('invoices', None, TOKEN)
    made = read_key('shop', write_key('shop', 'invoices', None, None))
    assert (made.task, made.minute, len(made.token)) == ('invoices', None, 32)


def test_all_tokens_of_a_run_have_one_key():
    assert key_token(TOKEN) == key_token(OTHER) == key_token(IN_KEY) == IN_KEY
    assert same_run(TOKEN, OTHER)
    assert not same_run(TOKEN, TOKEN[::-1])


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


@pytest.mark.parametrize(
    ('run', 'key'),
    [
        (RUN._replace(scheduled_for=MINUTE), 'shop:invoices@2026-11-24T02:00Z'),
        (RUN, f'shop:invoices@{IN_KEY}'),
        (RUN._replace(scheduled_for=MINUTE, trigger='backfill', outcome='queued'), f'shop:invoices@{IN_KEY}'),
        (RUN._replace(scheduled_for=MINUTE, trigger='backfill', outcome='ok'), f'shop:invoices@{IN_KEY}'),
        (RUN._replace(scheduled_for=MINUTE, attempt=0), ''),
    ],
)
def test_a_past_run_has_a_key_if_it_was_one(run, key):
    assert key_of('shop', run) == key


@pytest.mark.parametrize(
    ('word', 'is_one'),
    [
        ('shop:invoices@2026-11-24T02:00Z', True),
        (f'shop:invoices@{TOKEN}', True),
        ('other:invoices@2026-11-24T02:00Z', False),
        ('shop:invoices', False),
    ],
)
def test_a_key_is_told_from_a_name(word, is_one):
    assert is_key('shop', word) is is_one
