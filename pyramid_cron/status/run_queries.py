"""The readings of the store that the page of a run shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Delivery
from pyramid_cron.errors import Unavailable

if TYPE_CHECKING:
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.store.run_records import RunRecord


class RunReading(NamedTuple):
    """What is known of a run.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param record: its record, and those of its minute; ``None`` if there is none.
    :param examination: the row of its task and what is wrong with it.
    """

    has_store: bool = False
    error: str | None = None
    record: RunRecord | None = None
    examination: Examination | None = None


def read_run(registry: Any, delivery: Delivery, run_id: str | None) -> RunReading:
    """Read what is known of a run.

    :param delivery: its task, and its minute or its token.
    :param run_id: the id of one of the records of the minute, ``None`` for the newest.
    """
    store = registry['cron_store']
    if store is None:
        return RunReading()
    from pyramid_cron.monitoring.examine import examine
    from pyramid_cron.store.run_records import find_record

    try:
        with store.database.reading() as connection:
            if connection is None:
                return RunReading(has_store=True)
            examination = examine(registry, [delivery.task])
            snapshot = examination.snapshot
            # the history of a task that a deploy renames moves later than its row
            names = [delivery.task, *snapshot.own_names([snapshot.own_name(delivery.task)])]
            found = (find_record(connection, delivery._replace(task=name), run_id) for name in dict.fromkeys(names))
            record = next((record for record in found if record is not None), None)
        if record is None:
            return RunReading(has_store=True)
        return RunReading(has_store=True, record=record, examination=examination)
    except Unavailable as exc:
        return RunReading(has_store=True, error=str(exc))
