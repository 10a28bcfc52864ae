"""``pcron perform``, ``pcron run --via``, and what ``pcron`` shows of tasks that are handed over."""

from datetime import timedelta

import pytest

from pyramid_cron.queues.handover import write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.scripts.pcron import PCronCommand

APP = '''
from pathlib import Path

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

def send(handover):
    (Path(__file__).parent / 'sent').write_text(' '.join(handover.command))

def invoice(system):
    """Write the invoices."""

def fail(system):
    raise LookupError

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

    def run(command, *words):
        made = PCronCommand(['pcron', command, str(ini), *words])
        status = made.run()
        if hasattr(made, 'claims'):
            engines.append(made.claims.database.engine)
        return (status, *capsys.readouterr())

    yield run
    for engine in engines:
        engine.dispose()


def key(name='invoice', ago=0):
    return write_key('shop', name, current_minute() - timedelta(minutes=ago), None)


def without_times(text):
    return [line.partition(', ')[0] for line in text.splitlines()]


def test_by_name_a_task_runs_here_unless_via_is_asked_for(run, tmp_path):
    status, out, _ = run('run', 'invoice')
    assert (status, without_times(out)[1]) == (0, 'ok       invoice')
    assert not (tmp_path / 'sent').exists()
    status, out, _ = run('run', 'invoice', 'here', '--via')
    assert (status, without_times(out)[1:]) == (0, ['handed over invoice', 'ok          here'])
    assert (tmp_path / 'sent').exists()


def test_what_was_handed_over_runs_by_its_command_once(run, tmp_path):
    run('run', 'invoice', '--via')
    pcron, perform, file, sent_key = (tmp_path / 'sent').read_text().split()
    assert (pcron, perform, file) == ('pcron', 'perform', str(tmp_path / 'shop.ini'))
    status, out, _ = run(perform, sent_key)
    assert (status, without_times(out)) == (0, ['ok       invoice'])
    status, out, _ = run(perform, sent_key)
    assert (status, out) == (0, 'skipped  invoice, 0.000 s: already run\n')


def test_a_task_that_fails_ends_the_command_with_status_1(run, tmp_path):
    run('run', 'fail', '--via')
    *_, sent_key = (tmp_path / 'sent').read_text().split()
    status, out, _ = run('perform', sent_key, 'a=b')
    assert (status, without_times(out)) == (1, ['failed   fail'])
    assert out.endswith(': LookupError\n')


def test_what_nobody_has_handed_over_does_not_run(run):
    assert run('perform', key())[:2] == (
        0,
        'skipped  invoice, 0.000 s: nobody has handed it over in this store: '
        'has the worker the cron.store of the web servers?\n',
    )


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        ([], 'give the key under which the task was handed over'),
        (['invoice'], "'invoice' is no key of shop, such as shop:task@2026-11-24T02:00Z"),
        (['shop:renamed@2026-11-24T02:00Z'], "no cron task is named 'renamed'"),
        (['shop:invoice@2026-11-24T02:00Z', 'more'], 'more'),
    ],
)
def test_what_names_no_run_is_refused(run, words, told):
    status, out, err = run('perform', *words)
    assert (status, out) == (2, '')
    assert err.startswith('pcron: ')
    assert told in err


def test_an_application_that_answers_before_is_told(run, tmp_path):
    with (tmp_path / 'shop.ini').open('a') as file:
        file.write('closed = true\n')
    status, _, err = run('perform', key())
    assert status == 1
    assert err.startswith('pcron: the application answered 403 Forbidden before its tasks could run')


def test_a_store_that_cannot_be_asked_is_told(run, tmp_path):
    (tmp_path / 'cron.sqlite').mkdir()
    status, _, err = run('perform', key())
    assert status == 1
    assert err.startswith('pcron: the store cannot be asked: ')


def test_show_tells_what_a_task_is_handed_over_to(run):
    _, out, _ = run('show', 'invoice')
    assert '.send; caught up for 5 min' in ' '.join(out.split())
