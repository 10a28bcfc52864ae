"""The page of one task."""

from datetime import datetime, timezone

from pyramid.config import Configurator

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.queries import TaskHistory
from pyramid_cron.status.task_page import build_task_page
from tests.support.filling import fill, record, record_silence
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
    assert '<b>Only what failed, was lost or missed</b>' in faults


def test_a_task_outside_the_store_has_no_history(make_page, store):
    answer = make_page(
        lambda config: config.add_cron_task(print, name='shop.task', min=0, store=False), settings=store
    ).task()
    assert 'no: each process is on its own' in answer
    assert 'Pause' not in answer
    assert 'not those of tasks with <code>store=False</code>' in answer


def test_the_process_of_a_lost_run_is_shown_once(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=0)
    lost = {'outcome': 'lost', 'reason': 'process 4711 on web-1, since 02:00', 'attempt': 2}
    record(page.registry, ('shop.task', now, lost))
    history = page.task().text.partition('<h2 id="history">')[2]
    assert '<span class="about">attempt 2, process 4711 on web-1</span>' in history
    # the row of the task has no process
    row = page.get().text.partition('<tbody')[2]
    assert '?</span>lost</span>' in row
    assert 'process' not in row


def test_the_engine_is_shown_and_queued_runs_are_fine(make_page, store, now):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0, via=send)

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
    shown = build_task_page(config.registry, task, TaskHistory(), before).next_runs
    assert [(run.at.text, run.offset, run.offset_changed) for run in shown[:4]] == [
        ('Sun 2026-03-29 01:30', '+01:00', False),
        ('Sun 2026-03-29 03:30', '+02:00', True),
        ('Mon 2026-03-30 01:30', '+02:00', False),
        ('Mon 2026-03-30 03:30', '+02:00', False),
    ]
    assert len(shown) == 10
