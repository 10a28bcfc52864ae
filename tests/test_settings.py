"""Every ``cron.*`` setting: what it defaults to, what it accepts, and how it says no."""

import contextlib
import subprocess
import sys
import textwrap
from datetime import timedelta
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_app
from sentry_sdk.serializer import serialize

from pyramid_cron.settings import MAKE_SECRET, Settings
from tests.support.ids import shown
from tests.support.requests import request_cron

#: settings whose values may hold a password, and are not shown
SECRETS = {'secret', 'monitor_secret', 'store', 'healthchecks', 'healthchecks_tasks'}
LOOPBACK = (ip_network('127.0.0.1'), ip_network('::1'))


@contextlib.contextmanager
def committed(system):
    yield


class Committed(contextlib.AbstractContextManager):
    def __init__(self, system): ...

    def __exit__(self, *raised): ...


def uncommitted(system):
    yield


def test_what_is_left_out_has_its_default():
    settings = Settings.parse({})
    assert (settings.path, settings.allowed_ips, settings.window) == ('/cron', LOOPBACK, 60.0)
    assert (settings.secret, settings.timezone, settings.transaction, settings.url) == (None,) * 4
    assert (settings.store, settings.app, settings.session) == (None,) * 3
    assert (settings.catch_up, settings.keep_history) == (timedelta(minutes=5), timedelta(days=30))
    assert settings.keep_log == 16_000
    assert (settings.lease, settings.create_tables, settings.method) == (90.0, True, 'GET')
    assert (settings.peer_check, settings.monitor_secret, settings.monitor_ips) == (True, None, None)
    assert (settings.scrub, settings.keep_parameters) == (None, False)


def test_settings_of_others_do_not_matter():
    assert Settings.parse({'path': 5, 'crontab.path': '', 'pyramid.includes': 'pyramid_cron'}) == Settings.parse({})


@pytest.mark.parametrize(
    ('key', 'value', 'parsed'),
    [
        ('path', '/cron', '/cron'),
        ('path', 'cron', 'cron'),
        ('path', '/admin/tick', '/admin/tick'),
        ('path', '/tick/', '/tick/'),
        ('path', '/_cron-1.txt', '/_cron-1.txt'),
        ('timezone', 'Europe/Berlin', ZoneInfo('Europe/Berlin')),
        ('timezone', ZoneInfo('UTC'), ZoneInfo('UTC')),
        ('allowed_ips', '10.1.2.3', (ip_network('10.1.2.3'),)),
        ('allowed_ips', '10.0.0.0/8 fd00::/8', (ip_network('10.0.0.0/8'), ip_network('fd00::/8'))),
        ('allowed_ips', '\n  127.0.0.1\n  ::1\n', LOOPBACK),
        ('allowed_ips', '127.0.0.1,::1', LOOPBACK),
        ('allowed_ips', ' 127.0.0.1 , ::1, ', LOOPBACK),
        ('allowed_ips', ['127.0.0.1,::1'], LOOPBACK),
        ('allowed_ips', ['127.0.0.1', '::1'], LOOPBACK),
        ('allowed_ips', ('127.0.0.1 ::1',), LOOPBACK),
        ('allowed_ips', '::ffff:10.0.0.0/104', (ip_network('10.0.0.0/8'),)),
        ('allowed_ips', '::ffff:10.1.2.3', (ip_network('10.1.2.3'),)),
        ('allowed_ips', '0.0.0.0/0 ::/0', (ip_network('0.0.0.0/0'), ip_network('::/0'))),
        ('secret', 'sixteen chars 16', b'sixteen chars 16'),
        ('secret', 'x' * 500, b'x' * 500),
        ('secret', '16 Zeichen für 1', '16 Zeichen für 1'.encode()),
        ('peer_check', 'off', False),
        ('peer_check', 'on', True),
        ('monitor_secret', 'sixteen chars 16', b'sixteen chars 16'),
        ('monitor_ips', '10.0.0.0/8 ::1', (ip_network('10.0.0.0/8'), ip_network('::1'))),
        ('environment', 'production', 'production'),
        ('store', 'sqlite:///cron.sqlite', 'sqlite:///cron.sqlite'),
        ('app', 'My shop', 'My shop'),
        ('app', 'x' * 100, 'x' * 100),
        ('session', 'dbsession', 'dbsession'),
        ('method', 'GET', 'GET'),
        ('method', 'post', 'POST'),
        ('catch_up', '0', timedelta(0)),
        ('catch_up', '90.5', timedelta(seconds=90.5)),
        ('catch_up', timedelta(hours=1), timedelta(hours=1)),
        ('lease', '30', 30.0),
        ('keep_history', '0.5', timedelta(hours=12)),
        ('keep_history', 7, timedelta(days=7)),
        ('keep_log', '0', 0),
        ('keep_log', 0, 0),
        ('keep_log', '100', 100),
        ('keep_log', ' 64K ', 64_000),
        ('keep_log', 5000, 5000),
        ('create_tables', 'false', False),
        ('unregistered', 'fail', 'fail'),
        ('keep_parameters', 'true', True),
        ('scrub', 'textwrap.dedent', textwrap.dedent),
        ('scrub', 'textwrap:dedent', textwrap.dedent),
        ('scrub', textwrap.dedent, textwrap.dedent),
        ('create_tables', True, True),
        ('create_tables', ' Yes ', True),
        ('window', '90', 90.0),
        ('window', 90, 90.0),
        ('window', 90.5, 90.5),
        ('window', '0.5', 0.5),
        ('window', ' 90 ', 90.0),
    ],
)
def test_a_good_value_is_converted(key, value, parsed):
    settings = Settings.parse({f'cron.{key}': value})
    assert getattr(settings, key) == parsed
    assert type(getattr(settings, key)) is type(parsed)


#: of each setting the values that are refused, and a part of the message
BAD = {
    'path': [
        (['/../cron', '/./cron', '/x/..'], ''),
        (
            [
                '',
                '/',
                '//',
                '/../cron',
                '/./cron',
                None,
                5,
                ['/cron'],
                ' /cron',
                '/cron\n',
                '/my cron',
                '/{x}',
                '/cron/{x:.*}',
                '/cron*rest',
            ],
            '',
        ),
        (
            [
                '/cron*rest',
                '/cron/:old',
                'http://example.com/cron',
                '//example.com/cron',
                '/cron?secret=x',
                '/cron#now',
            ],
            '',
        ),
    ],
    'method': [(['', 'PUT', None, 5], 'it has to be GET or POST')],
    'allowed_ips': [
        (['', ' \n ', ' , ,', [], None, 5, True, [2130706433], [None], b'127.0.0.1'], ''),
        (['2130706433', '127.0.0.1;::1', 'fe80::1%eth0', 'localhost', '127.0.0.1 example.com', '127.0.0.1:80'], ''),
        (['10.0.0.1/8', 'fd00::1/8', '10.0.0.0/33', '10.0.0.*', '10.0.0', '[::1]', '::ffff:10.0.0.1/104'], ''),
        (['0.0.0.0', '::'], ''),
    ],
    'timezone': [(['Europe/Berln', 'Mars/Olympus', '', None, 1], '')],
    'secret': [
        (['', None], 'it is empty, perhaps'),
        (['', None], 'environment variable'),
        (['', None], MAKE_SECRET),
        ([1234567890123456, b'sixteen chars 16', 'fifteen chars15', '  fifteen chars15  '], ''),
        (['sixteen chars 1 ', ' ixteen chars 16', ' ' * 16, 'sixteen chars 16\n', 'sixteen\nchars 16'], ''),
        (['sixteen\tchars 16', 'sixteen\x00chars 16', 'sixteen\udcffchars 16'], ''),
    ],
    'peer_check': [(['', 'perhaps', None], 'it has to be true or false')],
    'monitor_secret': [
        (['', None, 'fifteen chars15'], MAKE_SECRET),
        (['${MONITOR_SECRET}', '$MONITOR_SECRET_OF_X', '{{ monitor_secret }}'], 'not replaced by its value'),
    ],
    'monitor_ips': [(['', None], 'it is empty'), (['localhost', '0.0.0.0'], '')],
    'environment': [(['', 'x' * 101, 'two\nlines', None, 1], 'it has to be a text of 1 to 100 printable characters')],
    'store': [(['', None], 'it is empty; write the URL of a database')],
    'app': [(['', 'x' * 101, 'two\nlines', None], '')],
    'session': [(['', 'request.dbsession', None], '')],
    'transaction': [
        ([f'{__name__}.comitted'], f"{__name__} has no 'comitted'; is 'committed' meant?"),
        (['no_such_package.committed'], "No module named 'no_such_package'"),
        (['.committed'], 'write the whole name'),
        ([''], 'it is empty'),
        ([None], 'None is not callable'),
        ([5], '5 is not callable'),
        ([f'{__name__}.LOOPBACK'], 'is not callable'),
        ([uncommitted], 'it is a generator function; write @contextlib.contextmanager above it'),
        ([lambda: None], 'does not take one argument, system'),
    ],
    'catch_up': [(['-1', '5 minutes', timedelta(seconds=-1), True, 'nan', '1e999'], '')],
    'lease': [(['0', None], ''), (['1e18'], 'seconds above 0; 150000 days at most')],
    'keep_history': [
        (['0', '30 days', 'inf', '1e300', True, None], ''),
        (['150001'], 'days above 0; 150000 days at most'),
    ],
    'keep_log': [
        (['99', '65k', '64001', '1M', '16 kB', '-1', '1.5k', '', '\u0661k', None, True, False, 10**12], ''),
        (['all'], 'it has to be 0, or a size from 100 bytes to 64k, such as 16k'),
    ],
    'create_tables': [(['', 'perhaps', None], '')],
    'unregistered': [(['', 'true', None], 'it has to be warn or fail')],
    'requests': [(['', 'two', None], 'it has to be one (request for all tasks of a tick) or each')],
    'keep_parameters': [(['', 'no parameters', None], 'it has to be true or false')],
    'scrub': [
        (['textwrap.dedents'], "textwrap has no 'dedents'; is 'dedent' meant?"),
        ([''], 'it is empty'),
        ([None], 'None is not callable'),
        ([str], 'builtins.str is a class'),
        ([lambda: ''], 'does not take one argument, text'),
        ([uncommitted], 'coroutine or generator function'),
    ],
    'window': [
        (['', None, 'a minute', '60s', 0, '0', '-1', -0.5, True, False, [60], 10**400], ''),
        (['nan', float('nan'), 'inf', '-inf', float('inf'), '1e999', '1e18'], ''),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('key', 'value', 'why'),
    [(key, value, why) for key, lines in BAD.items() for values, why in lines for value in values],
    ids=lambda part: ascii(shown(part))[:30],
)
def test_a_bad_value_is_an_error_that_names_the_setting(key, value, why):
    with pytest.raises(ConfigurationError) as caught:
        Settings.parse({f'cron.{key}': value})
    assert str(caught.value).startswith(f'bad setting cron.{key}')
    if key not in SECRETS:
        assert f'cron.{key} = {value!r}: ' in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize('key', BAD)
def test_a_bad_value_keeps_an_application_from_starting(key):
    (value, *_), _ = BAD[key][0]
    with pytest.raises(ConfigurationError, match=rf'cron\.{key}'):
        Configurator(settings={f'cron.{key}': value}).include('pyramid_cron')


@pytest.mark.parametrize('secret', ['too short', 'long enough, but with a line\nend', ' blank before the secret'])
def test_a_bad_secret_is_not_shown(secret):
    with pytest.raises(ConfigurationError) as caught:
        Settings.parse({'cron.secret': secret})
    error = caught.value
    for text in (str(error), repr(error), repr(error.args)):
        assert secret not in text
        assert repr(secret)[1:-1] not in text
    # nor by the chain of a traceback
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_the_store_which_may_hold_a_password_is_shown_nowhere():
    settings = Settings.parse({'cron.store': 'postgresql://user:s3cr3t@host/name'})
    assert 's3cr3t' not in repr(settings)


def test_another_bad_setting_does_not_show_the_secret():
    with pytest.raises(ConfigurationError) as caught:
        Settings.parse({'cron.secret': 'sixteen chars 16', 'cron.window': '0'})
    assert 'sixteen' not in str(caught.value)


def test_the_representation_of_settings_does_not_show_the_secret():
    settings = Settings.parse({'cron.secret': 'sixteen chars 16', 'cron.path': '/tick'})
    assert '/tick' in repr(settings)
    assert 'sixteen' not in f'{settings} {settings!r}'


def test_a_tool_that_records_the_variables_of_a_failed_task_does_not_record_the_secret():
    def task(system):
        recorded.append(serialize({'system': system, 'settings': system['registry']['cron_settings']}))

    recorded = []
    config = Configurator(settings={'cron.secret': 'sixteen chars 16'})
    config.include('pyramid_cron')
    config.add_cron_task(task)
    request_cron(config.make_wsgi_app(), HTTP_AUTHORIZATION='Bearer sixteen chars 16')
    (shown,) = recorded
    assert "'/cron'" in str(shown)
    assert 'sixteen' not in str(shown)


def test_a_secret_alone_allows_any_address():
    assert Settings.parse({'cron.secret': 'sixteen chars 16'}).allowed_ips is None


def test_the_secret_of_a_monitor_must_not_trigger():
    with pytest.raises(ConfigurationError, match=r'cron\.monitor_secret is the same as cron\.secret') as caught:
        Settings.parse({'cron.secret': 'sixteen chars 16', 'cron.monitor_secret': 'sixteen chars 16'})
    assert 'sixteen' not in str(caught.value)


def test_a_secret_with_addresses_allows_only_them():
    settings = {'cron.secret': 'sixteen chars 16', 'cron.allowed_ips': '127.0.0.1 ::1'}
    assert Settings.parse(settings).allowed_ips == LOOPBACK


def test_the_command_that_makes_a_secret_makes_one():
    command = MAKE_SECRET.removesuffix(' makes one').removeprefix('python3')
    made = subprocess.run(f'{sys.executable}{command}', shell=True, capture_output=True, text=True, check=True)
    assert len(Settings.parse({'cron.secret': made.stdout.strip()}).secret) > 40


@pytest.mark.parametrize('wrapper', [committed, Committed, lambda system: Committed(system)])
def test_what_makes_the_transaction_is_a_name_or_the_thing_itself(wrapper):
    assert Settings.parse({'cron.transaction': wrapper}).transaction is wrapper
    if wrapper.__name__ != '<lambda>':
        for name in (f'{__name__}.{wrapper.__name__}', f'{__name__}:{wrapper.__name__}'):
            assert Settings.parse({'cron.transaction': name}).transaction is wrapper


def test_the_traceback_of_a_module_that_cannot_be_imported_is_kept(tmp_path, monkeypatch):
    (tmp_path / 'failing_for_settings.py').write_text('1 / 0\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match='ZeroDivisionError') as caught:
        Settings.parse({'cron.transaction': 'failing_for_settings.committed'})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_settings_come_from_an_ini_file(tmp_path, monkeypatch):
    (tmp_path / 'app_of_an_ini_file.py').write_text(
        'from pyramid.config import Configurator\n'
        'def main(global_config, **settings):\n'
        '    config = Configurator(settings=settings)\n'
        '    config.add_cron_task(len, min="*")\n'
        '    return config.make_wsgi_app()\n'
    )
    (tmp_path / 'app.ini').write_text(
        '[app:main]\n'
        'use = call:app_of_an_ini_file:main\n'
        'pyramid.includes =\n'
        '    pyramid_cron\n'
        'cron.path = /tick\n'
        'cron.window = 90\n'
        'cron.timezone = UTC\n'
        'cron.allowed_ips =\n'
        '    127.0.0.1\n'
        '    10.0.0.0/8\n'
        'cron.secret = sixteen chars %(tail)s\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        app = get_app(str(tmp_path / 'app.ini'), options={'tail': '16'})
    finally:
        sys.modules.pop('app_of_an_ini_file', None)
    settings = app.registry['cron_settings']
    assert (settings.path, settings.window, settings.timezone) == ('/tick', 90.0, ZoneInfo('UTC'))
    assert settings.allowed_ips == (ip_network('127.0.0.1'), ip_network('10.0.0.0/8'))
    assert settings.secret == b'sixteen chars 16'
    assert request_cron(app, '/tick', HTTP_AUTHORIZATION='Bearer sixteen chars 16').text == 'ok'
    assert request_cron(app, '/tick').status_int == 401
