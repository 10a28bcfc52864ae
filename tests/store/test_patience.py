import pytest

from pyramid_cron.store.errors import Locked
from pyramid_cron.store.patience import PATIENCE, WITHOUT_PATIENCE, Patience
from tests.support.servers import Clock


class Row:
    """A row that is locked until a time."""

    def __init__(self, clock, until):
        self.clock = clock
        self.until = until
        self.attempts = 0

    def change(self):
        self.attempts += 1
        if self.clock() < self.until:
            raise Locked
        return 'changed'


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def patience(clock):
    return Patience(clock, clock.sleep)


def test_a_row_that_is_free_is_changed_at_once(clock, patience):
    assert patience.call(Row(clock, 0).change) == 'changed'
    assert clock() == 1000


def test_a_lock_that_ends_soon_is_waited_for(clock, patience):
    row = Row(clock, 1000 + PATIENCE / 2)
    assert patience.call(row.change) == 'changed'
    assert clock() == pytest.approx(row.until, abs=0.03)


def test_a_lasting_lock_is_waited_for_once(clock, patience):
    row = Row(clock, 10**9)
    with pytest.raises(Locked):
        patience.call(row.change)
    assert clock() == pytest.approx(1000 + PATIENCE, abs=0.03)
    before, row.attempts = clock(), 0
    with pytest.raises(Locked):
        patience.call(row.change)
    assert (clock(), row.attempts) == (before, 1)
    clock.now += WITHOUT_PATIENCE
    with pytest.raises(Locked):
        patience.call(row.change)
    assert row.attempts > 2
