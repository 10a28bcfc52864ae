"""Several servers for hours: clocks that differ, ticks that come late or not at all, processes that die."""

import random
import threading
from collections import Counter

import pytest
from sqlalchemy import update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import processes
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(2))
def test_servers_with_different_clocks_run_each_minute_once(servers, seed, warnings):
    """Each server ticks when its own clock begins a minute, or up to a second later."""
    chance = random.Random(seed)
    count = 3
    nodes = [
        servers.start().add('often', min='*').add('third', min='*/3').add('eighth', min='*/8') for _ in range(count)
    ]
    skews = [chance.uniform(-2, 2) for _ in nodes]
    ticks = [
        (60 * minute - skew + chance.uniform(0, 1), minute, node)
        for node, skew in zip(nodes, skews, strict=True)
        for minute in range(17)
        # a server is away for a while
        if chance.random() > 0.2
    ]
    for _, minute, node in sorted(ticks, key=lambda tick: tick[0]):
        node.tick(minute)
    asked = {minute for _, minute, _ in ticks}
    ran = Counter(run for node in nodes for run in node.ran)
    assert set(ran.values()) == {1}
    for name, apart in (('often', 1), ('third', 3), ('eighth', 8)):
        due = {minute for minute in range(17) if minute % apart == 0}
        got = {minute for task, minute in ran if task == name}
        missed = {minute for task, minute in servers.minutes('missed') if task == name}
        assert got | missed == {minute for minute in due if minute <= max(asked)}
        # what a tick came for has run
        assert got >= due & asked
        assert not got & missed


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(2))
def test_each_due_minute_has_exactly_one_outcome(servers, seed, warnings):
    chance = random.Random(seed)
    nodes = [servers.start(catch_up='180').add('task', min='*/2') for _ in range(2)]
    begun = Counter()
    minute = 0
    nodes[0].tick(-1)
    while minute < 60:
        minute += chance.choice([0, 1, 1, 1, 2, 7])
        node = chance.choice(nodes)
        if chance.random() < 0.15:
            # it takes its run, and that is the last of it
            for run in node.runs(minute):
                if run.not_claimed is None and run.claim() is None:
                    begun[run.minute] += 1
            servers.execute(update(processes).values(lease_until=0.0, boot_and_pidns='another boot'))
            nodes[nodes.index(node)] = servers.start(catch_up='180').add('task', min='*/2')
        else:
            node.tick(minute)
    minute += 1 + minute % 2
    nodes[0].tick(minute)
    told = Counter(servers.history('scheduled_for', 'outcome'))
    ok, lost, missed, skipped = (
        {when: count for (when, outcome), count in told.items() if outcome == wanted}
        for wanted in ('ok', 'lost', 'missed', 'skipped')
    )
    assert set(ok.values()) == {1}
    assert not set(ok) & set(lost)
    assert lost == begun
    assert not any(outcome == 'running' for _, outcome in told)
    due = {INSTANT + when * MINUTE for when in range(0, minute + 1, 2)}
    assert {*ok, *lost, *missed, *skipped} == due
    assert not {*missed} & {*ok, *lost}


@pytest.mark.slow
def test_simultaneous_servers_run_each_minute_once(servers):
    nodes = [servers.start().add('one', min='*').add('two', min='*') for _ in range(4)]
    barrier = threading.Barrier(len(nodes))
    reports = []
    for node in nodes:
        node.ready()

    def work(node):
        for minute in range(8):
            barrier.wait()
            reports.append(node.tick(minute))

    threads = [threading.Thread(target=work, args=[node]) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ran = Counter(run for node in nodes for run in node.ran)
    assert len(ran) == 16
    assert set(ran.values()) == {1}
    assert [str(report) for report in reports if report.failed] == []
    assert servers.history() == ['ok'] * 16
