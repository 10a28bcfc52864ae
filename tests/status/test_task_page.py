"""The page of one task."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator

from pyramid_cron.progress import Progress
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.queries import TaskHistory
from pyramid_cron.status.task_page import build_task_page
from tests.support.filling import fill, record, record_progress, record_silence
from tests.support.status import recording


def test_the_page_shows_settings_and_history(make_page, store, now):
    page = make_page(recording([]), settings=store)
    fill(page.registry, 1, now, most=2)
    trace = {'error': 'Timeout', 'traceback': 'Traceback\n  File "x"\nTimeout: <b>'}
    record(page.registry, ('shop.task', now, {'outcome': 'failed', **trace}))
    record_silence(page.registry, now - 3 * MINUTE, now - 2 * MINUTE, 'shop.task')
    answer = page.task()
    for words in ('every hour', '0 * * * *', 'UTC', 'status.recording.', 'never late', '<dt>Store', '+00:00'):
        assert words in answer
    assert answer.text.count('class="offset"') == 10
    assert '<b>Timeout</b>; process 4711 on web-1' in answer
    assert '<pre tabindex="0">Traceback\n  File &#34;x&#34;\nTimeout: &lt;b&gt;</pre>' in answer
    assert '<b>no tick came in time</b>' in answer
    faults = page.task(faults=1)
    history = faults.text.partition('<ol class="history">')[2]
    assert history.count('<li>') == 2
    assert '>ok<' not in history
    assert '<b>Only failed, lost and missed runs</b>' in faults


def test_the_run_in_progress_has_a_bar(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=2)
    record(page.registry, ('shop.task', now, {'outcome': 'running'}))
    record_progress(page.registry, 'shop.task', Progress(42.0, 100.0, now))
    assert (
        page.task().text.count('<label class="progress"><progress max="100" value="42"></progress> 42 %</label>') == 1
    )


def test_the_page_shows_what_makes_a_run_slow_and_a_failure_an_alarm(make_page, store):
    page = make_page(
        lambda config: config.add_cron_task(print, name='shop.task', min=0, expect=134, tolerate=2), settings=store
    ).task()
    shown = page.text.replace('\n', '')
    assert 'Expected to take' in shown
    assert '2 min 14 s' in shown
    assert 'Tolerated failures' in shown


def test_a_task_outside_the_store_has_no_history(make_page, store):
    answer = make_page(
        lambda config: config.add_cron_task(print, name='shop.task', min=0, store=False), settings=store
    ).task()
    assert 'no: each process is on its own' in answer
    assert 'Pause' not in answer
    assert 'not those of tasks with <code>store=False</code>' in answer


def test_a_row_from_before_store_false_is_left_out(make_page, store, now):
    before = make_page(settings=store)
    fill(before.registry, 1, now, most=2)
    record(before.registry, ('shop.task', now, {'outcome': 'running'}))
    record_progress(before.registry, 'shop.task', Progress(42.0, 100.0, now))
    page = make_page(lambda config: config.add_cron_task(print, name='shop.task', min=0, store=False), settings=store)
    for shown in (page.task(), page.get()):
        assert '<label class="progress">' not in shown


@pytest.mark.slow
def test_the_process_of_a_lost_run_is_shown_once(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=0)
    lost = {'outcome': 'lost', 'reason': 'process 4711 on web-1, since 02:00', 'attempt': 2}
    record(page.registry, ('shop.task', now, lost))
    history = page.task().text.partition('<h2 id="history">')[2]
    assert '<span class="about" dir="auto">attempt 2, process 4711 on web-1</span>' in history
    # the row of the task has no process
    row = page.get().text.partition('<tbody')[2]
    assert '?</span>lost <a href=' in row
    assert 'process' not in row


@pytest.mark.slow
def test_the_engine_is_shown_and_queued_runs_are_fine(make_page, store, now):
    def configure(config):
        # a run is stuck once its task is due again
        config.add_cron_task(print, name='shop.task', min=(now.minute + 30) % 60, via=send)

    page = make_page(configure, settings=store)
    fill(page.registry, 1, now, most=0)
    record(page.registry, ('shop.task', now - 4 * MINUTE, {'outcome': 'running'}))
    assert '>running<' in page.task()
    assert 'stuck' not in page.task()
    record(page.registry, ('shop.task', now - 3 * MINUTE, {'outcome': 'queued'}))
    answer = page.task()
    assert 'Enqueued by' in answer
    assert 'test_task_page.send' in answer
    assert '>queued<' in answer


def send(message):
    pass


def test_run_now_is_confirmed_with_the_application_and_its_environment(make_page, store, now):
    page = make_page(recording([]), settings=store | {'cron.environment': 'production <1>'})
    shown = page.task().text
    assert '<span class="application"><bdi>shop</bdi> <b dir="auto">production &lt;1&gt;</b></span>' in shown
    form = shown.partition('Run now …')[2].partition('</form>')[0]
    assert '<p>Application <b dir="auto">shop</b>, environment <b dir="auto">production &lt;1&gt;</b></p>' in form
    assert 'The task runs in this web server, and the page returns when the task has ended.' in form
    assert 'The usual length is not known.' in form
    page.press('run')
    assert 'Its last good run took 0.0' in page.task()


def test_an_application_may_have_no_environment(make_page):
    shown = make_page().task().text
    assert '<span class="application"><bdi>shop</bdi></span>' in shown
    assert '<p>Application <b dir="auto">shop</b></p>' in shown


def test_a_schedule_without_words_is_shown_once(make_page):
    page = make_page(lambda config: config.add_cron_task(print, name='shop.task', cron='*/7 * * * *'))
    assert page.get().text.count('*/7 * * * *') == 1
    task = page.task()
    assert task.text.count('*/7 * * * *') == 1
    assert 'As written' not in task


def test_next_runs_show_both_sides_of_a_clock_change():
    config = Configurator(settings={'cron.timezone': 'Europe/Berlin'})
    config.include('pyramid_cron')
    config.add_cron_task(print, name='shop.task', cron='30 1,3 * * *')
    config.commit()
    (task,) = config.registry['cron_tasks']
    before = datetime(2026, 3, 28, 12, 0, tzinfo=timezone.utc)
    shown = build_task_page(config.registry, task, TaskHistory(), before, task.timezone).next_runs
    assert [(run.at.text, run.offset, run.offset_changed) for run in shown[:4]] == [
        ('Sun 2026-03-29 01:30', '+01:00', False),
        ('Sun 2026-03-29 03:30', '+02:00', True),
        ('Mon 2026-03-30 01:30', '+02:00', False),
        ('Mon 2026-03-30 03:30', '+02:00', False),
    ]
    assert len(shown) == 10


def test_a_schedule_of_the_setting_is_shown_with_that_of_the_code(make_page):
    page = make_page(recording([]), settings={'cron.schedules': 'shop.task = 30 3 * * *'})
    answer = page.task()
    assert '<dd dir="auto">every day at 03:30, by cron.schedules</dd>' in answer
    assert '<dt>In the code</dt><dd dir="auto">0 * * * *</dd>' in answer


def test_a_task_that_is_off_can_be_run_from_its_page(make_page):
    ran = []
    page = make_page(recording(ran), settings={'cron.schedules': '* = off'})
    assert '<dd dir="auto">off, by cron.schedules</dd>' in page.task()
    page.press('run')
    assert len(ran) == 1
