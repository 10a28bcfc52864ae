"""Runs in processes of their own: ``queues/process.py``."""

import os
import sys
from datetime import datetime, timezone

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_cron.doctor.queues import examine_queues
from pyramid_cron.orders import run_through
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.places import NoPlaces
from pyramid_cron.testing import tick

INSTANT = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
MISSING = 'the configuration file, which is found if pserve, gunicorn --paste or pcron has loaded it: '


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    return {'store': f'sqlite:///{tmp_path}/cron.sqlite', 'config_uri': 'shop.ini'}


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Return a function that returns the words of the next process, which a shell script in its place has been given.

    The process ends once the file ``end`` is there.
    """
    fifo, end, script, real = tmp_path / 'words', tmp_path / 'end', tmp_path / 'python3', sys.executable
    os.mkfifo(fifo)
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -I ]; then exec {real} "$@"; fi\necho "$(nice) $@" >{fifo}\n'
        f'until [ -e {end} ]; do sleep 0.1; done\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))

    def words():
        return fifo.read_text().split()

    words.end = end.touch
    return words


def error(config):
    with pytest.raises(ConfigurationError) as caught:
        config.commit()
    return str(caught.value)


def no_task(system):
    pass


def test_a_run_begins_in_a_process_of_its_own(make_app, store, started):
    app = make_app(settings=store, via='process:nice=2')
    [report] = run_through(app, app.registry, INSTANT).tasks
    assert report.outcome == 'queued'
    nice, *words = started()
    assert (int(nice), words[:4]) == (min(os.nice(0) + 2, 19), ['-m', 'pyramid_cron', 'perform', 'shop.ini'])
    assert words[4:] == ['shop:task@2026-11-24T02:00Z']
    started.end()


@pytest.mark.slow
def test_what_is_over_the_limit_waits(make_app, store, started):
    app = make_app(settings=store, via='process:at_most=1')
    other = make_app(settings=store | {'app': 'other'}, via='process:at_most=1')
    assert tick(app.registry, INSTANT).names('queued') == ['task']
    words = started()
    assert words[-1] == 'shop:task@2026-11-24T02:00Z'
    # of another application
    assert tick(other.registry, INSTANT).names('queued') == ['task']
    assert started()[-1] == 'other:task@2026-11-24T02:00Z'
    started.end()
    started.end()


def test_a_run_by_name_does_not_wait(make_app, store, started):
    app = make_app(settings=store, via='process:at_most=1')
    [task] = app.registry['cron_tasks'].named(['task'])
    handover = Handover('shop:task@' + 32 * '0', 'task', INSTANT, INSTANT, None)
    for _ in range(2):
        task.engine.call(handover)
        assert started()[-1] == handover.key
    # the first one has the place
    with task.engine.admit() as full:
        assert full == '1 process of this engine runs on this machine (at_most=1)'
    for _ in range(2):
        started.end()


@pytest.mark.parametrize(
    ('via', 'why'),
    [
        ('process:nice=20', "'nice=20': it has to be a number from 0 to 19"),
        ('process:nice=-1', "'nice=-1': it has to be a number from 0 to 19"),
        ('process:at_most=0', "'at_most=0': it has to be a number from 1 to 1000"),
        ('process:at_most=two', "'at_most=two': it has to be a number from 1 to 1000"),
        ('process:queue=slow', "'queue=slow' is no option: there are nice=…, at_most=…"),
        ('process:nice', "'nice' is no option: there are nice=…, at_most=…"),
    ],
)
def test_a_bad_option_is_an_error(configure, store, via, why):
    config = configure(**store)
    config.add_cron_task(no_task, name='task', via=via)
    assert f'cron task task, via={via!r}: {why}\n' in error(config)


def test_a_process_needs_a_store(configure):
    config = configure()
    config.add_cron_task(no_task, name='task', via='process')
    assert "cron task task, via='process': a process of its own needs a store, which knows" in error(config)


def test_a_process_needs_a_task_in_the_store(configure, store):
    config = configure(**store)
    config.add_cron_task(no_task, name='task', via='process', store=False)
    assert 'store=False leaves the task out of the store, and process needs it' in error(config)


def test_an_unknown_configuration_file_is_a_warning_and_a_failure(make_app, store, caplog, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['waitress-serve', 'shop:app'])
    del store['config_uri']
    app = make_app(settings=store, via='process')
    assert [MISSING in message for message in caplog.messages] == [True]
    [report] = tick(app.registry, INSTANT).tasks
    assert (report.outcome, report.error) == ('failed', 'LookupError')
    [finding] = examine_queues(app.registry)
    assert (finding.status, MISSING in finding.text) == ('fail', True)


def test_a_folder_that_cannot_be_used_is_a_failure(make_app, store, tmp_path):
    (tmp_path / f'pyramid_cron-{os.geteuid()}').touch()
    app = make_app(settings=store, via='process')
    [report] = tick(app.registry, INSTANT).tasks
    assert (report.outcome, type(report.exception)) == ('failed', NoPlaces)


def test_a_process_that_cannot_be_started_is_a_failure_and_repeated(make_app, store, monkeypatch, tmp_path):
    app = make_app(settings=store, via='process')
    with monkeypatch.context() as patched:
        patched.setattr(sys, 'executable', str(tmp_path / 'python3'))
        [report] = tick(app.registry, INSTANT).tasks
        [finding] = examine_queues(app.registry)
    assert (report.outcome, report.error) == ('failed', 'NotStarted')
    assert (finding.status, 'No such file or directory' in finding.text) == ('fail', True)
    assert app.registry['cron_store'].snapshot().states['task'].retry_reason == 'unsent'


def test_doctor_tries_a_process(make_app, store, tmp_path):
    (tmp_path / 'shop.ini').touch()
    app = make_app(settings=store | {'config_uri': f'{tmp_path}/shop.ini#main'}, via='process')
    [finding] = examine_queues(app.registry)
    assert (finding.status, finding.text) == (
        'ok',
        f'process: processes can be started, and load {tmp_path}/shop.ini#main',
    )


def test_doctor_misses_the_configuration_file(make_app, store):
    app = make_app(settings=store | {'config_uri': '/nothing/shop.ini'}, via='process')
    [finding] = examine_queues(app.registry)
    assert finding.text == 'process: LookupError: there is no file /nothing/shop.ini: set cron.config_uri = ' + (
        '%(__file__)s in the section of the application'
    )
