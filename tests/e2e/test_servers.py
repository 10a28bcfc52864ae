"""The application servers, requested by curl."""

import json
import os
import re
import subprocess
import threading

import pytest

SECRET = 'a secret of more than 16 characters'


@pytest.fixture
def header_file(tmp_path):
    path = tmp_path / 'cron.header'
    path.write_text(f'Authorization: Bearer {SECRET}\n')
    return path


def test_curl_runs_what_is_due(serve, server_kind, curl):
    server = serve(server_kind)
    answer = curl(f'{server.url}/cron', '-f')
    assert (answer.exit_code, answer.status, answer.body) == (0, 200, 'ok')
    assert 'no-store' in answer.headers
    mail, cache = server.journal.index('sent the mail'), server.journal.index('warmed the cache')
    assert mail < cache
    assert 'task pyramid_cron_demo.tasks.send_mail ended' in server.log


def test_a_caller_that_prefers_json_gets_a_report(serve, server_kind, curl):
    server = serve(server_kind)
    answer = curl(f'{server.url}/cron', '-H', 'Accept: application/json')
    assert answer.status == 200
    report = json.loads(answer.body)
    assert sorted(report) == ['minute', 'seconds', 'tasks']
    statuses = {task['name']: task['outcome'] for task in report['tasks']}
    assert statuses['pyramid_cron_demo.tasks.send_mail'] == 'ok'
    assert statuses['pyramid_cron_demo.tasks.warm_cache'] == 'ok'


def test_a_stranger_is_refused(serve, server_kind, curl):
    server = serve(server_kind)
    answer = curl(f'{server.url}/cron', '--interface', '127.0.0.2')
    assert (answer.status, answer.body) == (403, 'fail 127.0.0.2')
    assert server.journal == ''
    assert 'cron.allowed_ips' in server.log


def test_a_stranger_that_names_the_address_of_the_server_is_refused(serve, server_kind, curl):
    server = serve(server_kind)
    for host in ('localhost', '127.0.0.1', '127.0.0.2', '2130706434'):
        answer = curl(f'{server.url}/cron', '--interface', '127.0.0.2', '-H', f'Host: {host}')
        assert answer.status == 403
    assert server.journal == ''


def test_head_is_refused(serve, server_kind, curl):
    server = serve(server_kind)
    answer = curl(f'{server.url}/cron', '--head')
    assert answer.status == 405
    assert 'allow: get, post' in answer.headers
    assert server.journal == ''


def test_the_secret_in_a_header_file_is_accepted(serve, server_kind, curl, header_file):
    server = serve(server_kind, settings={'cron.secret': SECRET})
    refused = curl(f'{server.url}/cron')
    assert refused.status == 401
    assert 'www-authenticate: bearer' in refused.headers
    assert server.journal == ''
    # from anywhere, since cron.allowed_ips is not set
    allowed = curl(f'{server.url}/cron', '-f', '-H', f'@{header_file}', '--interface', '127.0.0.2')
    assert (allowed.exit_code, allowed.body) == (0, 'ok')
    assert 'sent the mail' in server.journal
    assert SECRET not in server.log


def test_curl_in_the_kubernetes_manifest_gets_in(serve, server_kind, program, root, header_file):
    server = serve(server_kind, settings={'cron.secret': SECRET})
    manifest = (root / 'docs' / 'deploy' / 'cronjob.yaml').read_text()
    arguments = json.loads(re.search(r'(?m)^ +args: (\[.*\])$', manifest)[1])
    replaced = {'@/etc/cron/header': f'@{header_file}', 'http://demo:6543/cron?quiet': f'{server.url}/cron?quiet'}
    assert set(replaced) <= set(arguments)
    command = [program('curl'), *(replaced.get(argument, argument) for argument in arguments)]
    assert subprocess.check_output(command, text=True) == ''
    assert 'sent the mail' in server.journal


def test_curl_notices_a_task_that_raises(serve, server_kind, curl):
    server = serve(server_kind, tasks='fails works')
    answer = curl(f'{server.url}/cron', '--fail-with-body')
    assert (answer.status, answer.body) == (500, 'fail: 1 of 2 tasks failed: trouble.fails')
    # what cron sees
    assert answer.exit_code == 22
    assert server.journal == 'works\n'
    assert 'RuntimeError: a detail' in server.log


@pytest.fixture
def two_ticks(serve, server_kind, curl, until, tmp_path):
    """Return a server, and its answers to a tick that waits and to another one beside it."""

    def run(*options, **settings):
        server = serve(server_kind, tasks='waits works', settings={'trouble.any_minute': 'true', **settings})
        answers = []
        first = threading.Thread(target=lambda: answers.append(curl(f'{server.url}/cron')))
        first.start()
        try:
            until((tmp_path / 'var' / 'waiting').exists, 'the first request waits')
            second = curl(f'{server.url}/cron', *options)
        finally:
            (tmp_path / 'var' / 'go').touch()
            first.join()
        return server, answers[0], second

    return run


def test_a_task_that_still_runs_is_skipped(two_ticks, curl):
    server, first, second = two_ticks('-H', 'Accept: application/json')
    assert second.status == 200
    waits, works = json.loads(second.body)['tasks']
    assert (waits['outcome'], waits['reason']) == ('skipped', 'still running')
    assert works['outcome'] == 'ok'
    assert first.body == 'ok'
    # and it is not skipped for ever
    assert json.loads(curl(f'{server.url}/cron', '-H', 'Accept: application/json').body)['tasks'][0]['outcome'] == 'ok'


def test_curl_notices_a_task_that_is_stuck(two_ticks):
    server, first, second = two_ticks('--fail-with-body', **{'trouble.expect': '0.001'})
    assert (second.exit_code, second.status) == (22, 500)
    assert re.fullmatch(r'fail: 1 of 2 tasks is stuck: trouble\.waits \(running for \d+ s\)', second.body)
    assert first.body == 'ok'
    assert server.journal == 'works\n' * 2


@pytest.mark.parametrize('kind', ['waitress', 'gunicorn', 'gunicorn gevent'])
def test_a_task_that_exits_has_failed_and_costs_no_connection(serve, curl, kind):
    server = serve(kind, tasks='exits works', settings={'trouble.any_minute': 'true'})

    def open_files():
        return len(os.listdir(f'/proc/{server.worker}/fd'))

    assert curl(f'{server.url}/cron').body == 'fail: 1 of 2 tasks failed: trouble.exits'
    before = open_files()
    for _ in range(149):
        assert curl(f'{server.url}/cron').status == 500
    assert open_files() <= before + 2
    assert curl(f'{server.url}/', max_time=3).status == 404
    assert server.log.count('task trouble.exits failed') == server.journal.count('works') == 150


@pytest.mark.parametrize('kind', ['waitress', 'gunicorn', 'gunicorn sync'])
def test_the_child_of_a_task_that_forks_does_not_run_the_rest(serve, curl, kind):
    server = serve(kind, tasks='forks works')
    assert curl(f'{server.url}/cron').body == 'ok'
    assert server.journal == 'works\n'
    assert 'task trouble.forks ended in process' in server.log
    assert curl(f'{server.url}/', max_time=3).status == 404


def test_an_exit_in_the_main_thread_leaves_the_task_due(serve, curl, until):
    server = serve('gunicorn sync', tasks='exits_once works')
    # gunicorn answers by itself, or closes the connection
    assert curl(f'{server.url}/cron', '-f', max_time=3).exit_code != 0
    assert 'task trouble.exits_once: SystemExit ends the run; not run: trouble.works' in server.log
    assert server.journal == ''
    # and replaces the worker that ended
    until(lambda: curl(f'{server.url}/').status == 404, 'the server answers again')
    again = curl(f'{server.url}/cron', '-H', 'Accept: application/json')
    assert [task['outcome'] for task in json.loads(again.body)['tasks']] == ['ok', 'ok']
    assert server.journal == 'works\n'


def test_the_ticks_that_a_stalled_server_works_off_run_a_minute_once(serve, curl, until, tmp_path):
    server = serve('waitress', tasks='works', server={'threads': 1})
    answers = []

    def tick():
        answers.append(curl(f'{server.url}/cron', '-H', 'Accept: application/json'))

    threads = [threading.Thread(target=curl, args=[f'{server.url}/stall'])]
    threads[0].start()
    until((tmp_path / 'var' / 'waiting').exists, 'the only thread is busy')
    threads += [threading.Thread(target=tick) for _ in range(11)]
    for thread in threads[1:]:
        thread.start()
    until(lambda: 'Task queue depth is 11' in server.log, 'the ticks wait in the queue of waitress')
    (tmp_path / 'var' / 'go').touch()
    for thread in threads:
        thread.join()
    reports = [json.loads(answer.body) for answer in answers]
    statuses = [report['tasks'][0]['outcome'] for report in reports]
    # more than one if the clock came to another minute in between
    minutes = {report['minute'] for report in reports}
    assert {answer.status for answer in answers} == {200}
    assert server.journal.count('works') == statuses.count('ok') == len(minutes)
    assert statuses.count('skipped') == 11 - len(minutes)


@pytest.fixture
def unix_socket(start, program, ini, root, tmp_path):
    """Serve the demo as docs/deploy/gunicorn-unix.conf.py does, and return its process and the socket."""
    path = tmp_path / 'demo.sock'
    config = (root / 'docs' / 'deploy' / 'gunicorn-unix.conf.py').read_text()
    assert config.count('/run/demo/demo.sock') == 1
    (tmp_path / 'gunicorn.conf.py').write_text(config.replace('/run/demo/demo.sock', str(path)))

    def run(**settings):
        command = ['--paste', str(ini(settings=settings)), '-c', str(tmp_path / 'gunicorn.conf.py')]
        return start(program('gunicorn'), *command, listen=str(path)), path

    return run


def test_no_address_opens_a_unix_socket(unix_socket, curl, tmp_path):
    process, path = unix_socket()
    answer = curl('http://localhost/cron', '--unix-socket', str(path))
    assert (answer.status, answer.body) == (403, 'fail')
    assert not (tmp_path / 'var').exists()
    assert 'cron.secret' in process.log.read_text()


def test_the_documented_crontab_line_gets_in_through_a_unix_socket(unix_socket, curl, root, header_file, tmp_path):
    _, path = unix_socket(**{'cron.secret': SECRET})
    assert curl('http://localhost/cron', '--unix-socket', str(path)).status == 401
    crontab = (root / 'docs' / 'deploy' / 'unix-socket.crontab').read_text()
    (command,) = re.findall(r'(?m)^\* \* \* \* \* +(.*)$', crontab)
    for documented, real in {'/run/demo/demo.sock': path, '/etc/demo/cron.header': header_file}.items():
        assert documented in command
        command = command.replace(documented, str(real))
    environ = {'PATH': '/usr/bin:/bin', 'HOME': os.environ['HOME']}
    assert subprocess.check_output(['sh', '-c', command], env=environ, stderr=subprocess.STDOUT) == b''
    assert 'sent the mail' in (tmp_path / 'var' / 'journal.txt').read_text()
