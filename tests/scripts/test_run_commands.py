"""``pcron tick``, ``pcron run``, ``pcron work`` and ``pcron perform``."""

import logging
import re
import signal
import sys
from datetime import timedelta

import pytest

from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.scripts.progress_bar import ERASE
from tests.support.pcron import PURGE, EndingCommand, WorkingCommand, noon

APP = '''
import logging
from pathlib import Path

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid_cron.scripts.pcron import main as main_of_pcron

log = logging.getLogger('shop')

def send(handover):
    (Path(__file__).parent / 'sent').write_text(' '.join(handover.command))

def invoice(system):
    """Write the invoices."""

def fail(system):
    raise LookupError

def counts(system):
    system['progress'](0, 4)
    log.warning('between')
    system['progress'](3, 4)
    system['progress'](4, 4)

def again(system):
    ini = system['registry']['cron_settings'].config_uri
    print('status', main_of_pcron(['pcron', 'run', ini, 'again']))

def closed(handler, registry):
    return lambda request: HTTPForbidden()

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        if 'closed' in settings:
            config.add_tween(__name__ + '.closed')
        config.add_cron_task(invoice, min=0, name='invoice', via=send)
        config.add_cron_task(fail, min=0, name='fail', via=send)
        config.add_cron_task(invoice, min=0, name='here')
        config.add_cron_task(again, min=0, name='again')
        config.add_cron_task(counts, min=0, name='counts')
        return config.make_wsgi_app()
'''

INI = """
[app:main]
use = call:{module}:main
cron.app = shop
cron.timezone = UTC
cron.store = {store}
cron.config_uri = %(__file__)s
"""


@pytest.fixture
def run(write_module, tmp_path, monkeypatch, capsys):
    """Run the command, and return its exit status and what it printed."""
    monkeypatch.setenv('COLUMNS', '80')
    ini = tmp_path / 'shop.ini'
    ini.write_text(INI.format(module=write_module(APP), store=f'sqlite:///{tmp_path}/cron.sqlite'))
    engines = []

    def run(command, *words, store=True):
        if not store:
            ini.write_text(re.sub('cron.store = .*', '', ini.read_text()))
        made = PCronCommand(['pcron', command, str(ini), *words])
        status = made.run()
        if hasattr(made, 'claims'):
            engines.append(made.registry['cron_store'].database.engine)
        return (status, *capsys.readouterr())

    yield run
    for engine in engines:
        engine.dispose()


def key(name='invoice', ago=0):
    return write_key('shop', name, current_minute() - timedelta(minutes=ago), None)


def without_times(text):
    return [line.partition(', ')[0] for line in text.splitlines()]


@pytest.mark.slow
def test_run_enqueues_a_task_unless_it_is_to_run_here(run, tmp_path):
    status, out, _ = run('run', 'invoice', '--here')
    assert (status, without_times(out)[1:]) == (0, ['ok       invoice'])
    assert not (tmp_path / 'sent').exists()
    status, out, _ = run('run', 'invoice', 'here')
    _, queued, ran, more = out.splitlines()
    sent_key = (tmp_path / 'sent').read_text().split()[-1]
    assert status == 0
    assert re.fullmatch(rf'queued   invoice, \d\.\d+ s, with \w+\.send: {sent_key}', queued)
    assert ran.startswith('ok       here, ')
    assert more == f'To see the outcome: pcron history {tmp_path}/shop.ini invoice'


@pytest.mark.parametrize('store', [True, False])
def test_the_progress_of_a_task_is_printed_at_once(run, store):
    status, out, _ = run('run', 'counts', store=store)
    assert status == 0
    assert without_times(out)[:2] == ['counts: 0 %', 'counts: 100 %']
    assert without_times(out)[-1] == 'ok       counts'


def test_on_a_terminal_it_is_a_bar(run, monkeypatch):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    _, out, _ = run('run', 'counts')
    first, second, end = out.split(ERASE)[1:2] + out.split(ERASE)[-2:]
    assert first == '[--------------------] 0 %, counts'
    assert second == '[####################] 100 %, counts'
    assert without_times(end)[-1] == 'ok       counts'


@pytest.mark.slow
@pytest.mark.parametrize('command', ['tick', 'perform'])
def test_other_commands_show_no_progress(run, command):
    words = {'tick': ['--at', '00:00'], 'perform': [key('counts')]}[command]
    _, out, _ = run(command, *words)
    assert '%' not in out


def test_without_a_store_no_history_is_named(run):
    status, out, _ = run('run', 'invoice', store=False)
    assert (status, without_times(out)[1:]) == (0, ['queued   invoice'])


def test_the_command_that_shows_what_becomes_of_it_has_the_variables(run, tmp_path):
    _, out, _ = run('run', 'invoice', 'name=two words')
    assert out.splitlines()[-1] == f"To see the outcome: pcron history {tmp_path}/shop.ini invoice 'name=two words'"


def test_a_task_that_cannot_be_enqueued_has_failed(run, tmp_path):
    (tmp_path / 'sent').mkdir()
    status, out, _ = run('run', 'invoice')
    [_, failed] = out.splitlines()
    assert status == 1
    assert re.fullmatch(r'failed   invoice, \d\.\d+ s, could not be enqueued with \w+\.send: IsADirectoryError', failed)


@pytest.mark.slow
def test_an_enqueued_task_runs_by_its_command_once(run, tmp_path):
    run('run', 'invoice')
    pcron, perform, file, sent_key = (tmp_path / 'sent').read_text().split()
    assert (pcron, perform, file) == ('pcron', 'perform', str(tmp_path / 'shop.ini'))
    status, out, _ = run(perform, sent_key)
    assert (status, without_times(out)) == (0, ['ok       invoice'])
    status, out, _ = run(perform, sent_key)
    assert (status, out) == (0, 'skipped  invoice, 0.000 s: already run\n')


def test_a_task_that_fails_ends_the_command_with_status_1(run, tmp_path):
    run('run', 'fail')
    *_, sent_key = (tmp_path / 'sent').read_text().split()
    status, out, _ = run('perform', sent_key, 'a=b')
    assert (status, without_times(out)) == (1, ['failed   fail'])
    assert out.endswith(': LookupError\n')


def test_a_run_that_was_not_enqueued_does_not_run(run):
    assert run('perform', key())[:2] == (
        1,
        'failed   invoice, 0.000 s: it was not enqueued by way of this store: '
        'compare the cron.store of the worker with that of the web servers\n',
    )


@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        ([], 'name the key of the message by which the task was enqueued'),
        (['invoice'], "'invoice' is no key of shop, such as shop:task@2026-11-24T02:00Z"),
        (['shop:renamed@2026-11-24T02:00Z'], "no cron task is named 'renamed'"),
        (['shop:invoice@2026-11-24T02:00Z', 'more'], 'more'),
    ],
)
def test_what_names_no_run_is_refused(run, words, problem):
    status, out, err = run('perform', *words)
    assert (status, out) == (2, '')
    assert err.startswith('pcron: ')
    assert problem in err


def test_perform_reports_an_application_that_answers_before(run, tmp_path):
    with (tmp_path / 'shop.ini').open('a') as file:
        file.write('closed = true\n')
    status, _, err = run('perform', key())
    assert status == 1
    assert err.startswith('pcron: the application answered 403 Forbidden before its tasks could run')


def test_perform_reports_a_store_that_is_down(run, tmp_path):
    (tmp_path / 'cron.sqlite').mkdir()
    status, _, err = run('perform', key())
    assert status == 1
    assert err.startswith('pcron: the store is not available: ')


def test_show_names_the_engine_of_a_task(run):
    _, out, _ = run('show', 'invoice')
    assert '.send; caught up for 5 min' in ' '.join(out.split())


def test_a_tick_runs_what_is_due_and_prints_the_report(pcron, ini):
    path = ini("Report(), min='*', idle=True, name='r'", PURGE, "plain, min=7, name='plain'")
    status, out, _ = pcron('tick', path)
    assert status == 0
    first, *rest = out.splitlines()
    assert first.startswith('2026-12-24 00:07+01:00: 2 tasks in 0.')
    assert [line.split(',')[0] for line in rest] == ['ok       plain', 'ok       r']


def test_a_tick_can_be_for_another_minute(pcron, ini):
    status, out, _ = pcron('tick', ini(PURGE, "plain, min=7, name='plain'"), '--at', '2026-12-24 02:00')
    assert status == 0
    first, second = out.splitlines()
    assert first.startswith('2026-12-24 02:00+01:00: 1 task in 0.')
    assert second.startswith('ok       purge, 0.')


def test_a_task_that_fails_makes_the_exit_status_1(pcron, ini):
    status, out, _ = pcron('tick', ini("fails, min='*', name='fails'", "plain, min='*', name='plain'"))
    assert status == 1
    _, fails, plain = out.splitlines()
    assert fails.startswith('failed   fails, 0.')
    assert fails.endswith(' s: RuntimeError')
    assert plain.startswith('ok       plain, 0.')


@pytest.mark.parametrize('command', [('tick',), ('run', 'exits', 'plain')], ids=str)
def test_a_task_that_exits_fails_and_others_run(pcron, ini, caplog, command):
    name, *tasks = command
    status, out, err = pcron(name, ini("exits, min='*', name='exits'", "plain, min='*', name='plain'"), *tasks)
    assert (status, err) == (1, '')
    assert [re.sub(r'0\.\d+ s', 'N s', line) for line in out.splitlines()[1:]] == [
        'failed   exits, N s: SystemExit',
        'ok       plain, N s',
    ]
    assert 'SystemExit: 0' in caplog.text


def test_a_skipped_task_has_its_reason(pcron, ini):
    path = ini("plain, min='*', idle=True, name='plain'")
    with open(path, 'a') as file:
        file.write('[app:hurried]\nuse = main\ncron.window = 0.0000001\n')
    status, out, _ = pcron('tick', f'{path}#hurried')
    assert status == 0
    assert out.splitlines()[1] == 'skipped  plain, 0.000 s: no time left'


def test_a_dry_run_runs_nothing(pcron, ini):
    status, out, _ = pcron('tick', ini("Report(), min='*', idle=True, name='r'", "fails, min='*'", PURGE), '--dry-run')
    assert status == 0
    first, second, third = out.splitlines()
    assert first == '2026-12-24 00:07+01:00: 2 tasks would run'
    assert second.endswith('.fails')
    assert third == 'idle     r'


def test_run_runs_named_tasks_due_or_not(pcron, ini):
    status, out, _ = pcron(
        'run', ini(PURGE, "fails, min='*', name='fails'", "plain, min=1, name='p=1'"), 'p=1', 'purge'
    )
    assert status == 0
    assert [line.split(',')[0] for line in out.splitlines()[1:]] == ['ok       p=1', 'ok       purge']
    assert pcron('run', ini(PURGE, "fails, min='*', name='fails'"), 'fails')[0] == 1


def test_work_ends_after_the_running_task(pcron, ini, caplog):
    path = ini("ends, min='*', name='ends'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    status, out, err = pcron('work', path, command=WorkingCommand)
    assert (status, err) == (0, '')
    assert out == '2 tasks, UTC. Next: 12:00 ends and 1 more. Ctrl-C stops after the running task.\n'
    messages = [re.sub(r'0\.\d+ s', 'N s', message) for message in caplog.messages]
    assert messages == [
        'run for 2026-12-24 12:00:00+00:00 begins, tasks due: 2',
        'task ends begins',
        'task ends ended in N s',
        'task plain is skipped: stopping',
        'run for 2026-12-24 12:00:00+00:00 ended in N s: 1 ok, 0 failed, 1 skipped',
        'ended by SIGTERM',
    ]


class TwoMinutesCommand(PCronCommand):
    """Starts a moment before noon, and is asked to end in the third minute."""

    def __init__(self, *arguments):
        super().__init__(*arguments)

        def instants():
            # each wait is over at once, for the clock has got there by then
            yield from (noon(seconds=-1), noon(), noon(), noon(1), noon(1))
            signal.raise_signal(signal.SIGTERM)
            yield noon(1)

        self.now = instants().__next__


def test_work_goes_on_after_a_task_that_exits(pcron, ini, caplog):
    path = ini("exits, min='*', name='exits'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    status, _, err = pcron('work', path, command=TwoMinutesCommand)
    assert (status, err) == (0, '')
    messages = [message.partition(' after')[0].partition(' in ')[0] for message in caplog.messages]
    assert [message for message in messages if re.search('failed|ended', message)] == [
        'task exits failed',
        'task plain ended',
        'run for 2026-12-24 12:00:00+00:00 ended',
        'task exits failed',
        'task plain ended',
        'run for 2026-12-24 12:01:00+00:00 ended',
        'ended by SIGTERM',
    ]


@pytest.mark.parametrize(
    ('task', 'name', 'status'), [('interrupted', 'SIGINT', 130), ('interrupts', 'SIGINT', 130)], ids=str
)
def test_work_ends_at_once_at_a_second_signal(pcron, ini, caplog, task, name, status):
    path = ini(f"{task}, min='*', name='{task}'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    ended, _, err = pcron('work', path, command=WorkingCommand)
    assert (ended, err) == (status, f'pcron: interrupted by {name}\n')
    assert 'not run: plain' in caplog.text


@pytest.mark.parametrize(
    ('tasks', 'line'),
    [
        ((), 'no tasks, Europe/Berlin. Next: never.'),
        (
            ("plain, cron='0 13 * * *', name='a'", "plain, cron='59 12 * * *', name='b'"),
            '2 tasks, Europe/Berlin. Next: 13:00 a.',
        ),
        # each in its own time zone, and shown in that of the application
        (
            (
                "plain, cron='30 7 * * *', name='a', timezone='America/New_York'",
                "plain, cron='45 12 * * *', name='b', timezone='UTC'",
            ),
            '2 tasks, Europe/Berlin. Next: 13:30 a.',
        ),
        ((PURGE,), '1 task, Europe/Berlin. Next: 02:00 on Fri 2026-12-25 purge.'),
        (
            ("plain, min=0, name='a'", "plain, min='*/30', name='b'", "plain, min=1, name='c'"),
            '3 tasks, Europe/Berlin. Next: 13:00 a and 1 more.',
        ),
    ],
)
def test_work_prints_one_line_at_its_start(pcron, ini, caplog, tasks, line):
    status, out, err = pcron('work', ini(*tasks), command=EndingCommand, columns=200)
    assert (status, out, err) == (0, f'{line} Ctrl-C stops after the running task.\n', '')
    assert not re.search('Berlin|Next|waiting', caplog.text)


def test_work_is_silent_while_nothing_is_due(pcron, ini, caplog):
    _, out, _ = pcron('work', ini(PURGE), command=EndingCommand, columns=40)
    assert out == (
        '1 task, Europe/Berlin. Next: 02:00 on\nFri 2026-12-25 purge. Ctrl-C stops after\nthe running task.\n'
    )
    assert caplog.messages == ['ended by SIGTERM']


def test_work_can_be_quiet(ini, capfd):
    path = ini("ends, min='*', name='ends'", settings='cron.timezone = UTC')
    assert WorkingCommand(['pcron', 'work', path], True).run() == 0
    assert capfd.readouterr().out == ''
    assert logging.getLogger('pyramid_cron').level == logging.NOTSET


def test_work_logs_each_minute_without_a_run(pcron, ini, caplog):
    status, _, _ = pcron('work', ini(PURGE, settings='closed = yes\ncron.timezone = UTC'), command=EndingCommand)
    assert status == 0
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        'nothing ran for 2026-12-24 12:00+00:00: '
        'the application answered 503 Service Unavailable before its tasks could run'
    ]
    assert 'Traceback' not in caplog.text


@pytest.mark.parametrize('command', [('tick',), ('run', 'plain')], ids=str)
def test_an_early_answer_is_one_line_and_status_1(pcron, ini, command):
    name, *tasks = command
    uri = ini("plain, name='plain'", settings='closed = yes')
    line = 'pcron: the application answered 503 Service Unavailable before its tasks could run\n'
    assert pcron(name, uri, *tasks) == (1, '', line)


@pytest.mark.parametrize('command', [('tick',), ('run', 'method')], ids=str)
@pytest.mark.parametrize(('setting', 'method'), [('', 'GET'), ('cron.method = post', 'POST')], ids=str)
def test_the_setting_names_the_method_of_runs(pcron, ini, command, setting, method):
    name, *tasks = command
    settings = f'cron.url = https://shop.example.com/shop\n{setting}'
    status, out, _ = pcron(name, ini("method, min='*', name='method'", settings=settings), *tasks)
    assert (status, out.splitlines()[0]) == (0, f'{method} https://shop.example.com/shop/cron')


def test_work_and_perform_use_the_method_of_the_setting(pcron, ini):
    settings = 'cron.timezone = UTC\ncron.method = POST\ncron.app = shop'
    path = ini("method, min='*', name='method'", "ends, min='*', name='ends'", settings=settings)
    status, out, _ = pcron('work', path, command=WorkingCommand)
    assert (status, out.splitlines()[-1]) == (0, 'POST http://localhost/cron')
    status, out, _ = pcron('perform', path, key('method'))
    assert (status, out.splitlines()[0]) == (0, 'POST http://localhost/cron')


@pytest.fixture
def stored(tmp_path):
    """Settings with a store."""
    return f'cron.timezone = UTC\ncron.store = sqlite:///{tmp_path}/cron.sqlite'


@pytest.mark.slow
@pytest.mark.parametrize(('words', 'status'), [([], 0), (['--at', 'now'], 1)], ids=['by cron', 'by hand'])
def test_a_tick_by_hand_has_to_run_what_is_due(pcron, ini, stored, words, status):
    """Cron would send a mail for each minute that another server has run."""
    path = ini("plain, min=7, name='plain'", settings=stored)
    assert pcron('tick', path, '--at', 'now')[0] == 0
    ended, out, _ = pcron('tick', path, *words)
    assert (ended, out.splitlines()[1:]) == (status, ['skipped  plain, 0.000 s: already run'])


@pytest.mark.slow
def test_a_missed_minute_has_not_run(pcron, ini, stored):
    path = ini("plain, min=0, hour=23, name='plain'", settings=stored)
    assert pcron('tick', path, '--at', '22:59')[0] == 0
    assert pcron('tick', path)[0] == 0
    status, out, _ = pcron('tick', path, '--at', '23:00')
    assert status == 1
    assert out.splitlines()[1].startswith('skipped  plain, 0.000 s: it was missed')


def test_a_tick_by_hand_with_nothing_due_is_a_success(pcron, ini, stored):
    assert pcron('tick', ini("plain, min=7, name='plain'", settings=stored), '--at', '23:06')[0] == 0


@pytest.mark.slow
def test_a_minute_to_come_is_no_failed_tick_of_the_store(pcron, ini, stored):
    path = ini("plain, min=7, name='plain'", settings=stored)
    pcron('tick', path)
    status, out, err = pcron('tick', path, '--at', '2026-12-24 02:07')
    assert (status, out) == (2, '')
    assert err.startswith("pcron: --at '2026-12-24 02:07' is in the future, and cron.store records")
    assert pcron('tick', path, '--at', '2026-12-24 02:07', '--dry-run')[0] == 0
    assert 'ahead' not in pcron('list', path)[1]


@pytest.mark.slow
def test_a_tick_by_hand_does_not_run_a_paused_task(pcron, ini, stored):
    path = ini("plain, min=7, name='plain'", settings=stored)
    pcron('tick', path, '--at', '23:06')
    assert pcron('pause', path, 'plain', '--reason', 'disk full')[0] == 0
    status, out, _ = pcron('tick', path, '--at', 'now')
    assert status == 1
    assert 'disk full' in out
    assert pcron('tick', path)[0] == 0
    assert pcron('run', path, 'plain')[0] == 0


def test_a_named_task_without_time_has_not_run(pcron, ini):
    path = ini("plain, min=0, idle=True, name='plain'", settings='cron.timezone = UTC\ncron.window = 0.0000001')
    status, out, _ = pcron('run', path, 'plain')
    assert (status, out.splitlines()[1:]) == (1, ['skipped  plain, 0.000 s: no time left'])


def test_a_named_task_that_is_running_has_not_run(run):
    """The task runs the command once more."""
    status, out, _ = run('run', 'again')
    assert status == 0
    assert re.search(r'^skipped  again, 0\.000 s: still running: process .*\nstatus 1$', out, re.MULTILINE)


@pytest.mark.parametrize('words', [['run', 'skips'], ['tick']])
def test_a_task_that_skips_ends_the_command_well(pcron, ini, words):
    path = ini("skips, min='*', name='skips'")
    status, out, _ = pcron(words[0], path, *words[1:])
    assert status == 0
    assert re.fullmatch(r'skipped  skips, 0\.\d+ s: no new file', out.splitlines()[1])
