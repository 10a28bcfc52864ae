"""Runs by hand in processes of their own: which tasks they are for, and what is started."""

import sys

import pytest
from pyramid.config import Configurator

from pyramid_cron.orders import run_through
from pyramid_cron.queues.handover import Handover
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.separate_runs import may_be_separate, separate_run


@pytest.fixture
def ini(tmp_path):
    file = tmp_path / 'shop.ini'
    file.touch()
    return str(file)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Return a function that returns the words of the processes that were started, none of which runs."""
    script, words = tmp_path / 'python3', tmp_path / 'words'
    script.write_text(f'#!/bin/sh\necho "$@" >>{words}\necho pid 4711\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))
    # of a server whose configuration file is not known
    monkeypatch.setattr(sys, 'argv', ['waitress-serve'])
    return lambda: [line.split()[-4:] for line in words.read_text().splitlines()]


@pytest.fixture
def make(tmp_path):
    """Return a function that returns the application, the registry and the task of some arguments and settings."""
    engines = []

    def make(stored=True, settings=None, **options):
        store = {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'} if stored else {}
        with Configurator(settings={'cron.app': 'shop', **store, **(settings or {})}) as config:
            config.include('pyramid_cron')
            config.add_cron_task(print, name='task', min=0, **options)
        if stored:
            engines.append(config.registry['cron_store'].database.engine)
        [task] = config.registry['cron_tasks']
        return config.make_wsgi_app(), config.registry, task

    yield make
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ('options', 'may_be'),
    [
        ({}, True),
        ({'stored': False}, False),
        ({'store': False}, False),
        # for the process of the server
        ({'idle': True}, False),
        ({'via': False}, False),
    ],
)
def test_some_runs_may_be_in_a_process_of_their_own(make, ini, options, may_be):
    _, registry, task = make(settings={'cron.config_uri': ini}, **options)
    assert may_be_separate(registry, task) is may_be
    assert (separate_run(registry, task) is not None) is may_be


@pytest.mark.parametrize(
    ('uri', 'is_known'),
    [
        (None, False),
        ('{ini}', True),
        ('{ini}#shop', True),
        ('egg:shop', True),
        # of a worker on another machine
        ('/srv/elsewhere/shop.ini', False),
    ],
)
def test_the_configuration_file_has_to_be_here(make, ini, started, uri, is_known):
    settings = {} if uri is None else {'cron.config_uri': uri.format(ini=ini)}
    _, registry, task = make(settings=settings)
    assert (separate_run(registry, task) is not None) is is_known


def test_a_run_by_hand_starts_a_process_with_its_key(make, ini, started, capsys):
    app, registry, task = make(settings={'cron.config_uri': f'{ini}#shop'})
    separate = separate_run(registry, task)
    assert separate.pid is None
    report = run_through(app, registry, current_minute(), ['task'], enqueue=True, engine=separate.engine(registry))
    [run] = report.tasks
    assert (run.outcome, run.engine, separate.pid) == ('queued', 'process', 4711)
    assert started() == [['pyramid_cron', 'perform', f'{ini}#shop', run.key]]
    assert registry['cron_store'].states()['task'].is_enqueued
    assert capsys.readouterr().out == ''


def test_a_task_with_an_engine_has_no_process_of_its_own(make, ini):
    _, registry, task = make(settings={'cron.config_uri': ini}, via=print)
    assert separate_run(registry, task) is None


def test_the_process_has_the_variables_of_the_server(make, ini, started, monkeypatch):
    _, registry, task = make()
    monkeypatch.setattr(sys, 'argv', ['pserve', ini, 'port=6543'])
    now = current_minute()
    separate_run(registry, task)(Handover('shop:task@1', 'task', now, now, None))
    assert started() == [['perform', ini, 'shop:task@1', 'port=6543']]
