"""``system['since']``: the minute of the last success of a run by schedule, as it is with the claim."""

import pytest

from pyramid_cron import Skip
from pyramid_cron.schedules.clock import MINUTE
from tests.support.enqueueing import LONG, Queue, begin
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


class Seen(list):
    """What a task gets as ``since``, in minutes after INSTANT, and what it raises at its next runs."""

    def __init__(self, *raised):
        self.raised = list(raised)

    def __call__(self, system):
        since = system['since']
        self.append(None if since is None else round((since - INSTANT) / MINUTE))
        if self.raised and (exc := self.raised.pop(0)) is not None:
            raise exc


@pytest.mark.slow
def test_a_success_by_schedule_alone_moves_it(servers):
    seen = Seen(None, None, LookupError, Skip, None)
    server = servers.start().add(body=seen)
    server.tick(0)
    server.tick(names=['task'])
    for minute in (5, 10, 15, 20):
        server.tick(minute)
    assert seen == [None, 0, 0, 0, 0, 15]


@pytest.mark.slow
def test_it_is_aware_and_in_the_time_zone_of_the_task(servers):
    found = []
    server = servers.start().add(body=lambda system: found.append(system['since']), timezone='Asia/Tokyo')
    for minute in (0, 5):
        server.tick(minute)
    assert [since and since.isoformat() for since in found] == [None, '2020-11-23T11:00:00+09:00']


@pytest.mark.slow
def test_a_further_attempt_has_the_same(servers):
    seen = Seen(None, LookupError)
    server = servers.start().add(body=seen, min=0, retries=1)
    for minute in (0, 60, 61, 120):
        server.tick(minute)
    assert seen == [None, 0, 0, 60]


@pytest.mark.slow
def test_it_is_read_with_the_claim_and_not_before(servers):
    seen = Seen()
    late, server = servers.start().add(body=seen), servers.start().add()
    late.tick(0)
    (run,) = late.runs(10)
    # another server was slow with the tick before
    server.tick(5)
    assert run.claim() is None
    assert run.since == INSTANT + 5 * MINUTE
    run.interrupt()


@pytest.mark.slow
def test_a_run_by_name_gets_it_and_leaves_it(servers):
    seen = Seen()
    server = servers.start().add(body=seen)
    server.tick(0)
    server.tick(names=['task'])
    server.tick(names=['task'])
    assert seen == [None, 0, 0]
    assert servers.row()['last_success_for'] == INSTANT


@pytest.mark.slow
def test_a_worker_gets_it_and_moves_it(servers):
    seen, queue = Seen(), Queue()
    web = servers.start(catch_up=LONG).add(body=seen, via=queue)
    for minute in (0, 5):
        web.tick(minute)
        begin(web, queue.pop())
    assert seen == [None, 0]
    assert servers.row()['last_success_for'] == INSTANT + 5 * MINUTE


@pytest.mark.slow
def test_of_two_rows_of_a_renamed_task_the_newer_success_counts(servers):
    old, new = servers.start().add('old'), servers.start().add('new')
    new.tick(0)
    old.tick(5)
    servers.change('new', last_minute=INSTANT + 5 * MINUTE)
    seen = Seen()
    renamed = servers.start().add('new', body=seen, was='old')
    renamed.tick(10)
    assert seen == [5]


@pytest.mark.slow
def test_a_backfill_gets_it_and_leaves_it(servers):
    seen = Seen()
    server = servers.start(catch_up='0', keep_history='3650').add(body=seen)
    for minute in (0, 5, 15):
        server.tick(minute)
    assert server.backfill(10).outcome == 'ok'
    server.tick(20)
    assert seen == [None, 0, 5, 15, 15]
