"""The interface of a queue's engine."""

from datetime import timedelta

import pytest

from pyramid_cron.queue_engine import Engine
from pyramid_cron.queues.handover import EngineAdapter

MEMBERS = [name for name in vars(Engine) if not name.startswith('_')]


def test_the_interface_has_members():
    assert sorted(MEMBERS) == [
        'admit',
        'broker',
        'enqueue',
        'enqueue_all',
        'is_limited',
        'key',
        'message_states',
        'within_claim',
    ]


@pytest.mark.parametrize('member', MEMBERS)
def test_the_engine_of_via_has_them(member):
    adapter = EngineAdapter(print, 'a queue', 'shop', timedelta(0), None, within_claim=False, broker=print)
    assert hasattr(adapter, member)
    assert str(adapter) == 'a queue'
