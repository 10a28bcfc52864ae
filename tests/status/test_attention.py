"""The notices of what needs attention."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from pyramid.config import Configurator

from pyramid_cron.claims import Pause
from pyramid_cron.status.attention import MAX_SHOWN, MOST_OF_A_KIND, find_notices
from pyramid_cron.status.queries import TasksState
from pyramid_cron.store.ticks import Gap
from tests.support.filling import fill, record
from tests.support.states import examination, in_progress, state

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


def found(*registered, states=(), last_tick=TICK, ticks=(), **stored):
    registered = tasks(*registered)
    known = {'has_store': True, 'examination': examination(registered, states, last_tick, NOW, **dict(ticks))}
    return find_notices(registered, TasksState(**(known | stored)), timezone.utc)


def texts(*registered, **stored):
    return [
        f'{notice.kind} {notice.css_class}: '
        + ' '.join(filter(None, [notice.before, ', '.join(notice.tasks), notice.after]))
        for notice in found(*registered, **stored)
    ]


def ago(minutes):
    return TICK - timedelta(minutes=minutes)


def test_nothing_needs_attention_where_all_is_well():
    assert texts(EVERY, states=[state('every', 'ok', ago(1))]) == []


def test_nothing_is_known_without_a_store():
    assert texts(EVERY, has_store=False, examination=None) == []


def test_a_store_that_is_down_is_the_only_notice():
    assert texts(EVERY, error='the store is not available: gone', examination=None) == [
        'store bad: the store is not available: gone. The runs are not known'
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
    missed = [state('invoices', 'missed', ago(9))]
    expected = '10 minutes without a tick, 01:58 to 02:07; due then and not run: invoices'
    assert texts(INVOICES, EVERY, gaps=[gap], states=missed) == [f'no tick warn: {expected}']


def test_a_task_outside_the_store_is_never_caught_up():
    assert texts((*EVERY, {'store': False}), INVOICES, gaps=[Gap(ago(2), ago(2))]) == [
        'no tick warn: 1 minute without a tick, 02:07; due then and not run: every'
    ]


def test_a_gap_in_which_nothing_is_missed_is_quiet():
    quiet = 'no tick quiet: 3 minutes without a tick, 02:04 to 02:06;'
    gaps = [Gap(ago(5), ago(3))]
    assert texts(INVOICES, gaps=gaps) == [f'{quiet} nothing was due then']
    # it was caught up, or has run since
    assert texts(EVERY, gaps=gaps) == [f'{quiet} due then, and run since: every']


def test_problems_are_listed_by_their_kind():
    registered = [(name, '* * * * *') for name in ('a', 'b', 'c', 'd', 'e', 'f')]
    states = [
        state('a', 'failed', ago(1), last_error='Timeout'),
        state('b', 'ok', ago(35), **in_progress(NOW - timedelta(minutes=30))),
        state('c', 'lost', ago(1)),
        state('d', 'ok', ago(2), **in_progress(NOW - timedelta(seconds=40))),
        state('e', 'ok', ago(1)),
        state('f', 'failed', ago(3), **in_progress(NOW - timedelta(seconds=40))),
    ]
    assert texts(*registered, states=states) == [
        'stuck bad: b stuck, running for 30 min',
        'lost bad: c lost at 02:08',
        'failed bad: a failed at 02:08 after 2.0 s: Timeout',
        'failed bad: f failed at 02:06 after 2.0 s',
    ]


def test_a_run_that_no_worker_begins_has_a_notice():
    waits = state('every', 'ok', ago(5), **in_progress(NOW - timedelta(minutes=4)), handed_over_for='token')
    assert texts((*EVERY, {'catch_up': 300}), states=[waits]) == [
        'overdue warn: every overdue, queued for 4 min: no worker has begun it'
    ]


def test_a_row_of_a_removed_task_is_left_out():
    assert texts(EVERY, states=[state('old', 'failed', ago(1))]) == []


def test_runs_missed_despite_ticks_have_a_notice():
    states = [state('every', 'missed', ago(50)), state('invoices', 'missed', ago(60 * 48 + 9))]
    assert texts(EVERY, INVOICES, states=states) == [
        'missed warn: every missed at 01:19',
        'missed warn: invoices missed at Sun 2026-11-22 02:00',
    ]


def test_paused_tasks_come_last_with_their_reasons():
    pauses = {'a': Pause(ago(-60), 'the mail server moves', 'ada'), 'b': Pause(None, 'why not', None)}
    pauses['c'] = Pause(ago(1), 'over', 'ada')
    registered = [(name, '0 2 * * *') for name in pauses]
    assert texts(*registered, EVERY, states=[state(name, pause=pause) for name, pause in pauses.items()]) == [
        'paused quiet: a paused by ada until 03:09: the mail server moves',
        'paused quiet: b paused until it is resumed: why not',
    ]


def test_many_notices_of_a_kind_are_cut():
    names = [f'task{number:02}' for number in range(MAX_SHOWN + 3)]
    registered = [(name, '* * * * *') for name in names]
    notices = found(*registered, last_tick=ago(5), states=[state(name, 'failed', ago(9)) for name in names])
    assert (notices[0].tasks, notices[0].after) == (names[:MAX_SHOWN], 'and 3 more')
    assert [notice.tasks for notice in notices[1:-1]] == [[name] for name in names[:MOST_OF_A_KIND]]
    assert (notices[-1].kind, notices[-1].before, notices[-1].tasks, notices[-1].after) == (
        'failed',
        f'and {MAX_SHOWN + 3 - MOST_OF_A_KIND} more',
        (),
        '',
    )


def test_names_are_links_and_texts_are_escaped(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=3)
    record(page.registry, ('shop.task', now, {'outcome': 'failed', 'error': '<b>'}))
    notices = page.get().text.partition('Needs attention')[2].partition('</section>')[0]
    assert '<a href="/admin/cron/task?name=shop.task" dir="auto">shop.task</a>' in notices
    assert ': &lt;b&gt;' in notices


def test_ticks_that_fail_have_a_notice():
    failing = {'problem': 'task every: locked', 'done': ago(2)}
    assert texts(EVERY, ticks=failing) == ['tick failed bad: Tick failed: task every: locked; the last good one: 02:07']


def test_a_gap_of_failed_ticks_shows_why():
    gap = Gap(ago(3), ago(2), 'the disk is full')
    text = '2 minutes in which ticks failed (the disk is full), 02:06 to 02:07; nothing was due then'
    assert texts(INVOICES, gaps=[gap]) == [f'no tick quiet: {text}']


def test_a_task_without_a_page_has_no_link():
    pause = Pause(None, 'why', None)
    gone = [state('gone', last_seen=ago(90), pause=pause), state('every', last_seen=ago(80))]
    notices = found(EVERY, states=gone)
    assert [(notice.kind, notice.before, notice.tasks) for notice in notices] == [
        ('unregistered', '', ['every']),
        ('unregistered', 'gone', []),
        ('paused', 'gone', []),
    ]
    assert notices[1].after == 'no process with a tick has had it since 00:39; "pcron forget" ends this notice'


def test_a_failed_run_has_its_next_attempt():
    waits = {'retry_reason': 'failed', 'retry_wait': 1200.0, 'busy_until': ago(9), 'last_minute': ago(9)}
    assert texts(INVOICES, states=[state('invoices', 'failed', ago(9), last_error='Timeout', **waits)]) == [
        'failed bad: invoices failed at 02:00 after 2.0 s: Timeout; next attempt at 02:20'
    ]


def test_failures_with_one_reason_are_one_notice():
    why = {'last_error': 'OperationalError', 'last_message': 'could not connect to db-1', 'failed_runs': 2}
    names = [f'task{number:02}' for number in range(MAX_SHOWN + 3)]
    registered = [(name, '* * * * *') for name in names]
    since = [ago(100 - number).timestamp() for number in range(len(names))]
    states = [state(name, 'failed', ago(1), failed_since=at, **why) for name, at in zip(names, since, strict=True)]
    [notice] = found(*registered, states=states)
    assert notice == (
        *('failed', '✗', 'bad', f'OperationalError \N{MULTIPLICATION SIGN} {len(names)}: could not connect to db-1;'),
        *(names[:MAX_SHOWN], 'and 3 more, since 00:29', None, 'failed'),
    )
    # none of them is known to have failed before
    assert texts(*registered[:2], states=[replace(row, failed_since=None) for row in states[:2]]) == [
        'failed bad: OperationalError \N{MULTIPLICATION SIGN} 2: could not connect to db-1; task00, task01'
    ]
    tolerated = [(name, cron, {'tolerate': 9}) for name, cron in registered[:2]]
    assert texts(*tolerated, states=states[:2]) == [
        'failed quiet: OperationalError \N{MULTIPLICATION SIGN} 2: could not connect to db-1, which is tolerated; '
        'task00, task01 since 00:29'
    ]


def test_a_failure_has_its_message_and_since_when():
    why = {'last_error': 'Timeout', 'last_message': 'no answer', 'failed_runs': 12}
    row = state('every', 'failed', ago(1), failed_since=ago(600).timestamp(), **why)
    assert texts(EVERY, states=[row]) == [
        'failed bad: every failed at 02:08 after 2.0 s: Timeout: no answer; failing since yesterday 16:09, 12 in a row'
    ]


def test_the_notice_of_more_leads_to_all_of_them():
    names = [f'task{number:02}' for number in range(MOST_OF_A_KIND + 3)]
    states = [state(name, 'failed', ago(1)) for name in names]
    notices = found(*[(name, '* * * * *') for name in names], states=states)
    assert [notice.more for notice in notices] == [''] * MOST_OF_A_KIND + ['failed']
