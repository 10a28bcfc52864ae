"""``pcron doctor`` with real servers, proxies, accounts, crontabs, brokers and databases."""

import json
import os
import subprocess
from pathlib import Path

import procrastinate
import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy import text as sql

SECRET = 'a secret of some length'
APPLICATION, ANYBODY = 'daemon', 'nobody'
# what nginx answers by itself
LOCATIONS = 'location /moved { return 301 https://example.com/cron; } location /closed { return 403; }'


@pytest.fixture
def tmp_path(folder_of_all):
    return folder_of_all


@pytest.fixture
def doctor(program, tmp_path):
    """Run the command, and return its status and its findings but those about the crontabs of this machine."""

    def run(ini, *words, topics=('request',), account=None, **environ):
        command = [program('pcron'), 'doctor', str(ini), '--json', *words]
        if account is not None:
            # everything is imported as root, since an unprivileged account may not be able to read this Python's files
            command = ['python', str(Path(__file__).parent / 'doctor_under_account.py'), account, *command[1:]]
            command[0] = program('python')
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
        )
        print(done.stdout, done.stderr)
        shown = json.loads(done.stdout)
        assert done.returncode == (0 if shown['ok'] else 1)
        return [
            (found['status'], ' '.join(filter(None, (found['text'], found['remedy']))))
            for found in shown['findings']
            # accounts of this machine may have lines that request /cron
            if found['topic'] in topics and not found['text'].startswith('the crontab of ')
        ]

    return run


@pytest.fixture
def nginx(proxy):
    """Start nginx in front of a port, and return the URL of its trigger."""

    def run(backend, options=''):
        return f'{proxy("nginx", backend, options + LOCATIONS).replace("127.0.0.1", "localhost")}/cron'

    return run


def test_the_demo_is_reached_and_runs_nothing(serve, server_kind, doctor, tmp_path):
    served = serve(server_kind)
    [(status, text)] = doctor(tmp_path / 'demo.ini')
    assert (status, text) == (
        'ok',
        f'http://127.0.0.1:{served.port}/cron allows {account()} to run the tasks of pyramid_cron_demo',
    )
    assert served.journal == ''


def account():
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize('options', ['', 'proxy_set_header X-Forwarded-For $remote_addr;'])
def test_a_proxy_is_found_and_the_server_is_named(serve, server_kind, nginx, doctor, tmp_path, options):
    served = serve(server_kind, server={'clear_untrusted_proxy_headers': 'false'} if server_kind == 'waitress' else {})
    [(status, text)] = doctor(tmp_path / 'demo.ini', nginx(served.port, options))
    assert status == 'fail'
    assert ('through a proxy' in text) == bool(options) or 'for another host' in text
    assert served.journal == ''


def test_a_secret_opens_the_proxy(serve, server_kind, nginx, doctor, ini, tmp_path):
    served = serve(server_kind, settings={'cron.secret': SECRET})
    url = nginx(served.port)
    [(status, text)] = doctor(tmp_path / 'demo.ini', url)
    assert (status, text) == ('ok', f'{url} allows {account()} to run the tasks of pyramid_cron_demo with the secret')
    [(status, text)] = doctor(ini(settings={'cron.secret': 'another secret of some length'}), url)
    assert status == 'fail'
    assert 'refuses the secret of this configuration (401)' in text
    [(status, text)] = doctor(ini(), url)
    assert status == 'fail'
    assert 'refuses requests without the secret (401)' in text
    assert SECRET not in served.log
    assert served.journal == ''


def test_what_nginx_answers_itself_is_text_apart(serve, nginx, doctor, tmp_path):
    served = serve('waitress')
    url = nginx(served.port)
    for path, words in {
        '/moved': 'redirects (301) to https://example.com/cron',
        '/closed': 'refuses the request (403), and that is not pyramid_cron, by the header Server: nginx',
        '/elsewhere': 'is not found (404), by the header Server: nginx',
    }.items():
        [(status, text)] = doctor(tmp_path / 'demo.ini', url.replace('/cron', path))
        assert status == 'fail'
        assert words in text
    served.process.terminate()
    served.process.wait()
    [(status, text)] = doctor(tmp_path / 'demo.ini', url)
    assert 'answers 502, by the header Server: nginx' in text
    [(status, text)] = doctor(tmp_path / 'demo.ini')
    assert f'nothing listens at http://127.0.0.1:{served.port}/cron' in text


def test_each_account_is_answered_for_itself(program, serve, server_kind, doctor, tmp_path):
    program('curl', superuser=True)
    served = serve(server_kind, account=APPLICATION)
    for name in (None, APPLICATION):
        [(status, text)] = doctor(tmp_path / 'demo.ini', account=name)
        assert (status, f'allows {name or "root"} to run' in text) == ('ok', True)
    [(status, text)] = doctor(tmp_path / 'demo.ini', account=ANYBODY)
    assert status == 'fail'
    assert (
        f'refuses requests from other accounts (403), and this is the account {ANYBODY} make it as the account of '
        in text
    )
    assert served.journal == ''


def test_root_requests_as_the_accounts_of_lines(serve, server_kind, doctor, cron_file, tmp_path):
    served = serve(server_kind, account=APPLICATION)
    line = f'curl -f http://localhost:{served.port}/cron'
    path = cron_file('pyramid-cron-test', f'* * * * * {ANYBODY} {line}\n* * * * * {APPLICATION} {line}\n')
    text = [f'{status} {text}' for status, text in doctor(tmp_path / 'demo.ini') if str(path) in text]
    assert f'fail {path}, line 1: http://localhost:{served.port}/cron refuses requests from other accounts' in text[0]
    assert text[1].startswith(f'ok {path}, line 2: http://localhost:{served.port}/cron allows {APPLICATION} to run')
    assert served.journal == ''


def test_another_application_is_text_by_its_name(serve, doctor, ini, tmp_path):
    served = serve('waitress', settings={'cron.app': 'other'})
    [(status, text)] = doctor(ini(), f'http://localhost:{served.port}')
    assert status == 'fail'
    assert 'is the application other, not pyramid_cron_demo' in text


@pytest.fixture
def cron_file(program):
    """Return a function that writes a file in ``/etc/cron.d`` for the test."""
    written = []
    program('cron', superuser=True)

    def write(name, content):
        path = Path('/etc/cron.d') / name
        assert not path.exists()
        path.write_text(content)
        written.append(path)
        return path

    yield write
    for path in written:
        path.unlink()


def test_a_line_of_the_system_is_examined(serve, nginx, doctor, cron_file, tmp_path):
    served = serve('waitress')
    url = nginx(served.port)
    path = cron_file('pyramid-cron-test', f'* * * * * root curl -o /dev/null {url}\n')
    found = doctor(tmp_path / 'demo.ini', topics=('crontab', 'request'))
    text = [f'{status} {text}' for status, text in found if str(path) in text]
    assert len(text) == 2
    assert text[0].startswith(f'fail {path}, line 1: curl has no -f')
    assert text[1].startswith(f'fail {path}, line 1: {url} refuses requests ')
    path.write_text(
        f"* * * * * root curl -sSLm 300 --fail-with-body --local-port 600-1023 'localhost:{served.port}/cron?quiet'\n"
    )
    found = doctor(tmp_path / 'demo.ini', topics=('crontab', 'request'))
    assert ('ok', f'{path}, line 1: curl as root') in found
    dotted = cron_file('pyramid-cron-test.cron', path.read_text())
    text = [text for status, text in doctor(tmp_path / 'demo.ini', topics=('crontab',)) if str(dotted) in text]
    assert "Debian's cron ignores a file with other characters in its name" in text[0]


# stores, tasks and queues


@pytest.fixture
def shop(tmp_path):
    """Write an application with these registrations, and return its ini file."""

    def write(*registrations, **settings):
        lines = [f'    config.add_cron_task(print, {registration})' for registration in registrations]
        source = ['from pyramid.config import Configurator', '', 'def main(global_config, **settings):']
        source += ['    config = Configurator(settings=settings)', "    config.include('pyramid_cron')", *lines]
        (tmp_path / 'shop.py').write_text('\n'.join([*source, '    return config.make_wsgi_app()', '']))
        text = ['[app:main]', 'use = call:shop:main', *(f'cron.{name} = {value}' for name, value in settings.items())]
        (tmp_path / 'shop.ini').write_text('\n'.join([*text, '']))
        return tmp_path / 'shop.ini'

    return write


@pytest.fixture
def pcron(program, tmp_path):
    """Run another command to its end."""

    def run(*words):
        environ = {**os.environ, 'PYTHONPATH': '.'}
        subprocess.run([program('pcron'), *map(str, words)], cwd=tmp_path, env=environ, check=True, timeout=60)

    return run


def test_pauses_and_unregistered_tasks_are_shown(shop, pcron, doctor, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    pcron('tick', shop("name='mail'", "name='old'", store=url, timezone='UTC'))
    pcron('pause', tmp_path / 'shop.ini', 'mail', '--reason', 'the disk is full')
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(sql("UPDATE cron_tasks SET last_seen = '2020-01-01' WHERE task = 'old'"))
        connection.execute(sql('UPDATE cron_ticks SET minute_before = last_minute'))
    engine.dispose()
    found = doctor(shop("name='mail'", store=url, timezone='UTC'), topics=('ticks', 'tasks'), PYTHONPATH='.')
    assert found[0][1].startswith('the last tick was ')
    text = [text for status, text in found[1:] if status == 'warn']
    assert text[0].startswith('old: unregistered, Wed 2020-01-01 00:00 ')
    assert text[1].startswith('mail: paused by ')
    assert ' until it is resumed: ' in text[1]
    assert text[1].endswith(': the disk is full "pcron resume" ends the pause')


def test_a_store_that_is_away_is_found(shop, doctor, start_postgresql, tmp_path):
    url = f'postgresql+psycopg://cron@/shop?host={tmp_path}'
    [(status, text)] = doctor(shop("name='mail'", store=url), topics=('database',), PYTHONPATH='.')
    assert status == 'fail'
    assert 'No such file or directory' in text


def test_redis_is_reached_or_not(shop, doctor, redis_server, tmp_path):
    (tmp_path / 'worker.py').write_text(
        f"import celery\napp = celery.Celery('shop', broker='{redis_server.url}')\n"
        f"away = celery.Celery('shop', broker='redis+socket://{tmp_path}/none')\n"
    )
    for name, status in {'app': 'ok', 'away': 'fail'}.items():
        path = shop("name='mail', via='celery'", celery=f'worker.{name}')
        found, advice = doctor(path, topics=('queue',), PYTHONPATH='.')
        assert advice[0] == 'warn'
        assert 'worker_prefetch_multiplier = 4: each process of a busy worker takes 4 messages ahead' in advice[1]
        assert found[0] == status
        assert ('start the broker' in found[1]) == (name == 'away')


def test_procrastinate_needs_its_tables(shop, doctor, postgresql):
    path = shop("name='mail', via='procrastinate'", store=postgresql.replace('%', '%%'))
    [(status, text)] = doctor(path, topics=('queue',), PYTHONPATH='.')
    assert status == 'fail'
    assert 'run procrastinate --app=… schema --apply' in text
    url = make_url(postgresql)
    info = psycopg.conninfo.make_conninfo(dbname=url.database, host=url.query['host'], user=url.username)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=info)).open() as app:
        app.schema_manager.apply_schema()
    assert doctor(path, topics=('queue',), PYTHONPATH='.') == [
        ('ok', 'procrastinate: a job can be written, and was rolled back')
    ]


def test_lines_fit_a_terminal_and_a_pipe(program, ini, tmp_path):
    for environ, columns in (({}, 80), ({'COLUMNS': '60'}, 60)):
        environ = {name: value for name, value in os.environ.items() if name != 'COLUMNS'} | environ
        command = [program('pcron'), 'doctor', str(ini()), 'http://localhost:1']
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (1, '')
        assert max(len(line) for line in done.stdout.splitlines() if ' /' not in line) <= columns
