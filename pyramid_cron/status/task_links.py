"""The links by which the tasks on the page of all tasks are chosen: states, orders and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyramid_cron.status.task_filter import BACKWARDS, ORDERS, OTHER_STATES, USUAL_STATES, Choice, TaskFilter


class Chip(NamedTuple):
    """A link to another choice.

    :param text: its text.
    :param query: the parameters of its address.
    :param is_current: whether it is what is chosen.
    :param number: how many tasks it is for, ``None`` if that is not shown.
    """

    text: str
    query: Mapping[str, str]
    is_current: bool
    number: int | None = None


class Heading(NamedTuple):
    """The link of a column that sorts by it.

    :param query: the parameters of its address: the other way round if the table is sorted by it.
    :param direction: the attribute ``aria-sort`` of the column, empty if the table is not sorted by it.
    """

    query: Mapping[str, str]
    direction: str


def link_states(choice: Choice) -> list[Chip]:
    """Return the links to the states, that to all tasks first."""
    chosen = choice.filter
    known = [*USUAL_STATES, *(state for state in OTHER_STATES if choice.counts[state] or state == chosen.state)]
    every = Chip('all', chosen.query(state=''), not chosen.state)
    return [
        every,
        *(Chip(state, chosen.query(state=state), state == chosen.state, choice.counts[state]) for state in known),
    ]


def link_headings(chosen: TaskFilter) -> dict[str, Heading]:
    """Return the link of each order."""
    found = {}
    for name, order in ORDERS.items():
        is_descending = order.is_descending is not chosen.sort.startswith(BACKWARDS)
        direction = 'descending' if is_descending else 'ascending'
        is_current = chosen.sort.removeprefix(BACKWARDS) == name
        query = chosen.query(sort=f'{BACKWARDS}{name}' if chosen.sort == name else name)
        found[name] = Heading(query, direction if is_current else '')
    return found


def link_pages(choice: Choice) -> list[Chip]:
    """Return the links to the pages, none if there is one page only."""
    if choice.pages == 1:
        return []
    chosen = choice.filter
    return [
        Chip(str(number), chosen.query(page=number), number == chosen.page) for number in range(1, choice.pages + 1)
    ]
