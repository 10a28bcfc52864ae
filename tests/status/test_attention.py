"""The notices of what needs attention."""

from datetime import datetime, timedelta, timezone

from pyramid.config import Configurator

from pyramid_cron.claims import Pause
from pyramid_cron.reports import PastRun
from pyramid_cron.status.attention import MAX_SHOWN, find_notices
from pyramid_cron.status.queries import Snapshot
from pyramid_cron.store.queries import Gap, Missed
from tests.support.filling import fill, record

NOW = datetime(2026, 11, 24, 2, 9, 30, tzinfo=timezone.utc)
TICK = datetime(2026, 11, 24, 2, 9, tzinfo=timezone.utc)


def tasks(*registered):
    config = Configurator(settings={'cron.timezone': 'UTC'})
    config.include('pyramid_cron')
    for name, cron, *options in registered:
        config.add_cron_task(print, name=name, cron=cron, **(options[0] if options else {}))
    config.commit()
    return config.registry['cron_tasks']


INVOICES, EVERY = ('invoices', '0 2 * * *'), ('every', '* * * * *')


def found(*registered, **stored):
    snapshot = Snapshot(**({'has_store': True, 'last_tick': TICK} | stored))
    return find_notices(tasks(*registered), snapshot, NOW, 300, timezone.utc)


def texts(*registered, **stored):
    return [
        f'{notice.kind} {notice.css_class}: '
        + ' '.join(filter(None, [notice.before, ', '.join(notice.tasks), notice.after]))
        for notice in found(*registered, **stored)
    ]


def ago(minutes):
    return TICK - timedelta(minutes=minutes)


def run(task, outcome, minutes=1, **values):
    started = ago(minutes)
    known = {'scheduled_for': started, 'attempt': 1, 'trigger': 'request', 'host': None, 'pid': None}
    known |= {'started': started, 'finished': started, 'seconds': 2.0, 'reason': None, 'error': None}
    return PastRun(task, outcome, **(known | {'traceback': None} | values))


def test_nothing_needs_attention_where_all_is_well():
    assert texts(EVERY, last_runs={'every': run('every', 'ok')}) == []


def test_nothing_is_known_without_a_store():
    assert texts(EVERY, has_store=False, last_tick=None) == []


def test_a_store_that_is_down_is_the_only_notice():
    assert texts(EVERY, error='the store cannot be asked: gone') == [
        'store bad: the store cannot be asked: gone. What ran is not known'
    ]


def test_an_application_without_a_tick_has_a_notice():
    assert texts(EVERY, last_tick=None) == ['no tick bad: No tick has come yet: nothing has requested the trigger']


def test_silence_lists_the_tasks_due_since():
    assert texts(INVOICES, last_tick=ago(2)) == ['no tick bad: No tick since 02:07, for 2 minutes; nothing was due']
    assert texts(INVOICES, EVERY, last_tick=ago(10)) == [
        'no tick bad: No tick since 01:59, for 10 minutes; due since then: invoices, every'
    ]
    assert texts(INVOICES, last_tick=ago(180)) == [
        'no tick bad: No tick since Mon 2026-11-23 23:09, for 3 h 0 min; due since then: invoices'
    ]


def test_the_tick_of_the_last_minute_is_no_silence():
    assert texts(EVERY, last_tick=ago(1)) == []


def test_a_gap_lists_the_tasks_that_did_not_run():
    gap = Gap(ago(11), ago(2))
    missed = [Missed('invoices', ago(9), ago(9), 1, TICK)]
    expected = '10 minutes without a tick, 01:58 to 02:07; due then and not run: invoices'
    assert texts(INVOICES, EVERY, gaps=[gap], missed=missed) == [f'no tick warn: {expected}']


def test_a_task_outside_the_store_is_never_caught_up():
    assert texts((*EVERY, {'store': False}), INVOICES, gaps=[Gap(ago(2), ago(2))]) == [
        'no tick warn: 1 minute without a tick, 02:07; due then and not run: every'
    ]


def test_a_gap_in_which_nothing_is_missed_is_quiet():
    quiet = 'no tick quiet: 3 minutes without a tick, 02:04 to 02:06;'
    gaps = [Gap(ago(5), ago(3))]
    assert texts(INVOICES, gaps=gaps) == [f'{quiet} nothing was due then']
    # it was caught up
    assert texts(EVERY, gaps=gaps) == [f'{quiet} nothing is missed']


def test_bad_last_runs_are_listed_by_their_kind():
    registered = [(name, '* * * * *') for name in ('a', 'b', 'c', 'd', 'e')]
    runs = [
        run('a', 'failed', error='Timeout'),
        run('b', 'running', minutes=30, seconds=None),
        run('c', 'lost', reason='process 7 on web-1'),
        run('d', 'running', seconds=None),
    ]
    assert texts(*registered, last_runs={past.task: past for past in runs}) == [
        'stuck bad: b stuck, running for 30 min',
        'lost bad: c lost at 02:08: process 7 on web-1',
        'failed bad: a failed at 02:08 after 2.0 s: Timeout',
    ]


def test_a_run_of_a_removed_task_is_left_out():
    assert texts(EVERY, last_runs={'old': run('old', 'failed')}) == []


def test_runs_missed_despite_ticks_have_a_notice():
    missed = [Missed('every', ago(60), ago(50), 11, TICK), Missed('invoices', ago(9), ago(9), 1, TICK)]
    assert texts(EVERY, INVOICES, missed=missed) == [
        'missed warn: every missed 11 times, 01:09 to 01:19',
        'missed warn: invoices missed at 02:00',
    ]


def test_paused_tasks_come_last_with_their_reasons():
    pauses = {'a': Pause(ago(-60), 'the mail server moves', 'ada'), 'b': Pause(None, 'why not', None)}
    assert texts(('a', '0 2 * * *'), ('b', '0 2 * * *'), EVERY, pauses=pauses) == [
        'paused quiet: a paused by ada until 03:09: the mail server moves',
        'paused quiet: b paused until it is resumed: why not',
    ]


def test_many_notices_of_a_kind_are_cut():
    names = [f'task{number:02}' for number in range(MAX_SHOWN + 3)]
    registered = [(name, '* * * * *') for name in names]
    notices = found(*registered, last_tick=ago(5), last_runs={name: run(name, 'failed') for name in names})
    assert (notices[0].tasks, notices[0].after) == (names[:MAX_SHOWN], 'and 3 more')
    assert [notice.tasks for notice in notices[1:-1]] == [[name] for name in names[:MAX_SHOWN]]
    assert (notices[-1].kind, notices[-1].before, notices[-1].tasks, notices[-1].after) == (
        'failed',
        'and 3 more',
        (),
        '',
    )


def test_names_are_links_and_texts_are_escaped(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=3)
    record(page.registry, ('shop.task', now, {'outcome': 'failed', 'error': '<b>'}))
    notices = page.get().text.partition('Needs attention')[2].partition('</section>')[0]
    assert '<a href="/admin/cron/task?name=shop.task">shop.task</a>' in notices
    assert ': &lt;b&gt;' in notices
