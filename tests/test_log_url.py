"""``cron.log_url``: its values, and the addresses of runs."""

from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_cron.history_entries import PastRun
from pyramid_cron.log_url import NAMES, log_address
from pyramid_cron.settings import Settings

MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
RUN = PastRun(
    **dict.fromkeys(PastRun._fields)
    | {
        'task': 'shop.a&b=ü',
        'outcome': 'ok',
        'scheduled_for': MINUTE,
        'attempt': 2,
        'trigger': 'request',
        'host': 'web 1',
        'pid': 812,
        'started': MINUTE + timedelta(seconds=3, microseconds=9),
        'finished': MINUTE + timedelta(seconds=5, microseconds=1),
        'id': '0a' * 16,
    }
)
NOW = MINUTE + timedelta(minutes=2)


def address(template, run=RUN, **settings):
    parsed = Settings.parse({'cron.log_url': template} | {f'cron.{name}': value for name, value in settings.items()})
    return log_address(parsed, 'shop', run, NOW)


def values(run, **settings):
    query = '&'.join(f'{name}={{{name}}}' for name in NAMES)
    found = parse_qs(urlsplit(address(f'https://logs.example/?{query}', run, **settings)).query, True, True)
    return {name: value for name, [value] in found.items()}


def test_each_name_has_its_value():
    assert values(RUN, environment='a b') == {
        'app': 'shop',
        'environment': 'a b',
        'task': 'shop.a&b=ü',
        'key': 'shop:shop.a&b=ü@2026-11-24T02:00Z',
        'id': '0a' * 16,
        'attempt': '2',
        'minute': '2026-11-24T02:00:00Z',
        'started': '2026-11-24T02:00:03Z',
        'finished': '2026-11-24T02:00:06Z',
        'started_ms': '1795485603000',
        'finished_ms': '1795485606000',
        'host': 'web 1',
        'pid': '812',
    }
    by_name = values(RUN._replace(scheduled_for=None, pid=None, host=None))
    assert [by_name[name] for name in ('minute', 'pid', 'host', 'environment')] == ['', '', '', '']


def test_a_run_in_progress_ends_now():
    assert values(RUN._replace(outcome='running', finished=None))['finished'] == '2026-11-24T02:02:01Z'


def test_values_are_encoded_and_braces_can_be_written():
    assert address('http://[::1]:9/x{{1}}#{task}') == 'http://[::1]:9/x{1}#shop.a%26b%3D%C3%BC'
    assert address('https://logs.example') == 'https://logs.example'


def test_what_did_not_begin_has_no_lines():
    assert address('https://logs.example/', RUN._replace(attempt=0)) == ''
    assert address('https://logs.example/', RUN._replace(outcome='queued')) == ''
    assert log_address(Settings.parse({}), 'shop', RUN, NOW) == ''


@pytest.mark.parametrize(
    ('value', 'why'),
    [
        ('', 'it has to begin with http:// or https://'),
        (None, 'it has to begin with http:// or https://'),
        ('logs.example/{key}', 'it has to begin with http:// or https://'),
        ('javascript:alert({key})', 'it has to begin with http:// or https://'),
        ('ftp://logs.example/', 'it has to begin with http:// or https://'),
        ('//logs.example/', 'it has to begin with http:// or https://'),
        ('https://{host}/', 'a host without names'),
        ('https://logs.example{host}/', 'a host without names'),
        ('https://user:password@logs.example/', 'a host without names'),
        ('https://logs.example\\@other/', 'a host without names'),
        ('https://logs.example/a b', 'it has to be an address'),
        ('https://logs.example/\n', 'it has to be an address'),
        ('https://logs.example/ü', 'it has to be an address'),
        ('https://logs.example/{key', "expected '}' before end of string; write {{ and }}"),
        ('https://logs.example/}', "Single '}' encountered in format string; write {{ and }}"),
        ('https://logs.example/{}', '{} is not one of {app}, {environment}, {task}, {key}'),
        ('https://logs.example/{name}', '{name} is not one of {app}'),
        ('https://logs.example/{task.__class__}', '{task.__class__} is not one of {app}'),
        ('https://logs.example/{0}', '{0} is not one of {app}'),
        ('https://logs.example/{key!r}', '{key!r} is not one of {app}'),
        ('https://logs.example/{started:%Y}', '{started:%Y} is not one of {app}'),
    ],
)
def test_a_bad_address_stops_the_application(value, why):
    with pytest.raises(ConfigurationError) as caught:
        Settings.parse({'cron.log_url': value})
    assert str(caught.value).startswith(f'bad setting cron.log_url = {value!r}: ')
    assert why in str(caught.value)
