import pytest

from pyramid_cron import Task
from pyramid_cron.claims import RUN_HERE, ByHand

OWN, OTHER = 'the engine of the task', 'an engine for tasks without one'


@pytest.mark.parametrize(
    ('engine', 'by_hand', 'expected'),
    [
        (OWN, RUN_HERE, None),
        (OWN, ByHand(engine=OTHER), None),
        (OWN, ByHand(enqueue=True, engine=OTHER), OWN),
        (None, ByHand(enqueue=True, engine=OTHER), OTHER),
        (None, ByHand(enqueue=True), None),
    ],
)
def test_a_run_by_hand_is_enqueued_where_its_task_belongs(engine, by_hand, expected):
    task = Task(print)
    task.engine = engine
    assert by_hand.engine_of(task) == expected
