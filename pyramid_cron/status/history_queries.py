"""The readings of the store that the pages of the history show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.errors import Unavailable
from pyramid_cron.history_entries import PastRun
from pyramid_cron.outcomes import RUNNING

if TYPE_CHECKING:
    from pyramid_cron.store.history_pages import HistoryPage, Position

# entries of one page
MOST_ENTRIES = 100


class HistoryReading(NamedTuple):
    """A page of the history.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param page: the entries, ``None`` without a store that can be read.
    :param names: the names of the tasks that it is about; empty for all.
    :param stuck: the names of the tasks with a run that is stuck.
    """

    has_store: bool = False
    error: str | None = None
    page: HistoryPage | None = None
    names: Sequence[str] = ()
    stuck: Collection[str | None] = ()


def read_history(
    registry: Any, name: str, outcome: str = '', trigger: str = '', before: Position | None = None
) -> HistoryReading:
    """Read a page of the history.

    :param name: the name of a task, or a part of the names of several; empty for all.
    :param outcome: the outcome of its entries, see :class:`.Wanted`.
    :param trigger: their trigger.
    :param before: the place that they are before; ``None`` for the newest.
    """
    store = registry['cron_store']
    if store is None:
        return HistoryReading()
    from pyramid_cron.monitoring.examine import examine
    from pyramid_cron.store.history_pages import HistoryPages, Wanted

    registered = [task.name for task in registry['cron_tasks']]
    try:
        with store.database.reading() as connection:
            pages = None if connection is None else HistoryPages(connection)
            # of the rows only where the code does not have it
            others = [] if pages is None or name in ('', *registered) else pages.known_tasks()
            names = find_names(name, registered + others)
            if pages is None:
                return HistoryReading(has_store=True, names=names)
            states = store.states_in(connection, names) if names else {}
            others = [other for one in names if one in states for other in states[one].other_names]
            wanted = Wanted(list(dict.fromkeys([*names, *others])), outcome, trigger)
            page = pages.read(wanted, MOST_ENTRIES, before)
        running = {entry.task for entry in page.entries if isinstance(entry, PastRun) and entry.outcome == RUNNING}
        stuck = examine(registry, running).stuck if running else ()
    except Unavailable as exc:
        return HistoryReading(has_store=True, error=str(exc))
    return HistoryReading(has_store=True, page=page, names=names, stuck=stuck)


def find_names(text: str, known: Iterable[str]) -> list[str]:
    """Return the names that a text means: itself if that is one, or those that it is a part of, in any case.

    A text that is no part of any is a name as well: the history has tasks that are known nowhere else.
    """
    known = sorted(set(known))
    if not text or text in known:
        return [text] if text else []
    return [name for name in known if text.casefold() in name.casefold()] or [text]
