"""The choice on the page of all tasks: which of them, in which order, and which page of these. Addresses hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.last_due import find_last_due
from pyramid_cron.monitoring.problem import WORDS, Problem
from pyramid_cron.outcomes import (
    AHEAD,
    FAILED,
    LOST,
    MISSED,
    OVERDUE,
    PAUSED,
    QUEUED,
    RUNNING,
    SLOW,
    STOPPED,
    STUCK,
    UNREGISTERED,
)
from pyramid_cron.schedules.clock import EPOCH
from pyramid_cron.schedules.schedule import CALENDAR_ENDS
from pyramid_cron.task_summary import TaskSummary

if TYPE_CHECKING:
    from pyramid_cron.store.task_state import TaskState

# tasks of one page
PAGE_LENGTH = 50
LONGEST_NAME, HIGHEST_PAGE = 255, 100_000
# states that can be chosen; those of the second row are offered only where a task is in them
USUAL_STATES = (FAILED, MISSED, RUNNING, PAUSED, QUEUED, UNREGISTERED)
OTHER_STATES = (STUCK, AHEAD, LOST, OVERDUE, STOPPED, SLOW)
STATES = USUAL_STATES + OTHER_STATES
# what is no fault and is worth a look all the same
NOTEWORTHY = (OVERDUE, STOPPED, SLOW)
BACKWARDS = '-'


class Entry(NamedTuple):
    """A task among those that are chosen from.

    :param name: its name.
    :param words: the words by which it is found, as of :func:`.words_of`.
    :param problems: what is wrong with it, the most urgent first.
    :param state: its row in the store, ``None`` without one.
    :param summary: its summary, ``None`` for a task that is not registered here.
    """

    name: str
    words: frozenset[str]
    problems: Sequence[Problem] = ()
    state: TaskState | None = None
    summary: TaskSummary | None = None

    @property
    def next_instant(self) -> datetime:
        """Its next run, the end of the calendar without one."""
        return (None if self.summary is None else self.summary.next_instant) or CALENDAR_ENDS

    @property
    def urgency(self) -> int:
        """Its place among the tasks that need attention, faults first; the same for all that do not."""
        faults = [WORDS.index(problem.kind) for problem in self.problems if problem.is_fault]
        others = [len(WORDS) for problem in self.problems if problem.kind in NOTEWORTHY and problem.excuse is None]
        return min([*faults, *others, len(WORDS) + 1])


class Order(NamedTuple):
    """An order of tasks.

    :param key: returns what an entry is sorted by, given the present instant.
    :param is_descending: whether the highest comes first.
    """

    key: Callable[[Entry, datetime], Any]
    is_descending: bool = False


def _last_at(entry: Entry, now: datetime) -> datetime:
    last = None if entry.state is None else find_last_due(entry.state, entry.problems, now, None)
    return EPOCH if last is None else last.at


def _seconds(entry: Entry, now: datetime) -> float:
    state = entry.state
    if state is None:
        return -1.0
    if state.is_claimed and state.started is not None:
        return (now - state.started).total_seconds()
    return -1.0 if state.last_seconds is None else state.last_seconds


ATTENTION = Order(lambda entry, now: (entry.urgency, entry.next_instant))
ORDERS = {
    'name': Order(lambda entry, now: (entry.name.casefold(), entry.name)),
    'last': Order(_last_at, is_descending=True),
    'duration': Order(_seconds, is_descending=True),
    'next': Order(lambda entry, now: entry.next_instant),
}


class TaskFilter(NamedTuple):
    """What is chosen.

    :param name: a part of the names of the tasks, in any case; empty for all.
    :param state: one of :data:`STATES`, empty for all.
    :param sort: one of :data:`ORDERS`, behind a minus for the other way round; empty for what needs attention first.
    :param page: the number of the page.
    """

    name: str = ''
    state: str = ''
    sort: str = ''
    page: int = 1

    @property
    def is_narrow(self) -> bool:
        """Whether tasks are left out."""
        return bool(self.name or self.state)

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the parameters of the address with another choice, which begins with its first page.

        :param changes: the fields that are different.
        """
        chosen = self._replace(**({'page': 1} | changes))
        return {name: str(value) for name, value in chosen._asdict().items() if value != DEFAULTS[name]}

    def matches(self, entry: Entry) -> bool:
        """Return whether a task is chosen by its name."""
        return self.name.casefold() in entry.name.casefold()

    def sorted(self, entries: Iterable[Entry], now: datetime) -> list[Entry]:
        """Return tasks in the chosen order; of those that are equal, the next to run first."""
        order = ORDERS.get(self.sort.removeprefix(BACKWARDS), ATTENTION)
        by_next = sorted(entries, key=lambda entry: (entry.next_instant, entry.summary is None))
        is_descending = order.is_descending is not self.sort.startswith(BACKWARDS)
        return sorted(by_next, key=lambda entry: order.key(entry, now), reverse=is_descending)


DEFAULTS = TaskFilter()._asdict()


class Choice(NamedTuple):
    """The tasks of one page.

    :param filter: what is chosen, with the page that there is.
    :param entries: the tasks of the page, in their order.
    :param number: how many tasks are chosen, on all pages.
    :param counts: how many tasks with a matching name are in each state.
    :param pages: how many pages there are.
    """

    filter: TaskFilter
    entries: Sequence[Entry]
    number: int
    counts: Mapping[str, int]
    pages: int


def parse_filter(form: Mapping[str, str]) -> TaskFilter:
    """Return the choice that the parameters of an address are for.

    :raises ValueError: if one of them has a value that it cannot have.
    """
    name, state, sort, page = (form.get(field, '') for field in TaskFilter._fields)
    name = name.strip()
    if len(name) > LONGEST_NAME:
        raise ValueError(f'name has {len(name)} characters: write {LONGEST_NAME} at most')
    if state and state not in STATES:
        raise ValueError(f'state={state!r} is none of {", ".join(STATES)}')
    if sort and sort.removeprefix(BACKWARDS) not in ORDERS:
        raise ValueError(f'sort={sort!r} is none of {", ".join(ORDERS)}, also behind a minus')
    if page and not (page.isascii() and page.isdigit() and 1 <= int(page[:9]) <= HIGHEST_PAGE):
        raise ValueError(f'page={page!r} is not a number from 1 to {HIGHEST_PAGE}')
    return TaskFilter(name, state, sort, int(page or 1))


def choose(entries: Iterable[Entry], chosen: TaskFilter, now: datetime) -> Choice:
    """Return the tasks of a page. After the last page comes that one again, as when a filter has fewer tasks now."""
    named = list(filter(chosen.matches, entries))
    counts = {state: sum(state in entry.words for entry in named) for state in STATES}
    found = chosen.sorted((entry for entry in named if not chosen.state or chosen.state in entry.words), now)
    pages = max(1, -(-len(found) // PAGE_LENGTH))
    page = min(chosen.page, pages)
    shown = found[(page - 1) * PAGE_LENGTH : page * PAGE_LENGTH]
    return Choice(chosen._replace(page=page), shown, len(found), counts, pages)
