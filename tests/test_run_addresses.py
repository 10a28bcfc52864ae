"""The addresses of the pages of runs. ``scripts/test_history.py`` has those that pcron prints."""

from datetime import datetime, timezone
from urllib.parse import parse_qs

import pytest
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.history_entries import PastRun
from pyramid_cron.run_addresses import RunLink, link_of, run_address, run_query

MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
TOKEN = '0123456789abcdef' * 2
KEY_TOKEN = '0123456789abcdef0123450000000000'
RUN = PastRun(**dict.fromkeys(PastRun._fields) | {'task': 'shop.mail & more', 'attempt': 1, 'id': TOKEN})


@pytest.mark.parametrize(
    ('link', 'query'),
    [
        (RunLink('mails', MINUTE), 'key=shop:mails@2026-11-24T02:00Z'),
        (RunLink('mails', MINUTE, TOKEN), f'key=shop:mails@2026-11-24T02:00Z&id={TOKEN}'),
        (RunLink('mails', None, TOKEN), f'key=shop:mails@{KEY_TOKEN}'),
    ],
)
def test_a_minute_and_a_run_by_name_have_a_query(link, query):
    assert run_query('shop', link) == query


def test_names_are_encoded():
    query = run_query('the shop', link_of(RUN._replace(scheduled_for=MINUTE, attempt=0)))
    assert parse_qs(query) == {'key': ['the shop:shop.mail & more@2026-11-24T02:00Z'], 'id': [TOKEN]}


def address(url=None, pages=('/admin/cron', '/other'), **options):
    config = Configurator(settings={} if url is None else {'cron.url': url}, **options)
    config.include('pyramid_cron')
    config.include('pyramid_cron.status')
    for path in pages:
        config.add_cron_status(path, permission=NO_PERMISSION_REQUIRED)
    config.commit()
    return run_address(config.registry, 'shop', RUN._replace(task='mails'))


def test_an_address_is_that_of_the_first_page():
    query = f'key=shop:mails@{KEY_TOKEN}'
    assert address('https://example.com/shop') == f'https://example.com/shop/admin/cron/history/run?{query}'
    assert address('http://h:81/f%C3%BCr') == f'http://h:81/f%C3%BCr/admin/cron/history/run?{query}'


def test_without_cron_url_or_a_page_there_is_no_address():
    assert address() == ''
    assert address('https://example.com', pages=()) == ''
    assert address('https://example.com', introspection=False) == ''
