"""Outputs of runs in progress, as texts in the row of their process, and the output of a run as it is kept.

A heartbeat writes them there, and not into the row of the run in the history: under REPEATABLE READ the transaction of
a run that has joined it would fail at its end, which updates that row. The end of a run writes them into the history,
and the process that reaps a lost run does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pyramid_cron.run_log import end_of
from pyramid_cron.run_output import RunOutput, shortened
from pyramid_cron.scrub import Scrubbed, Scrubber
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.leases import RUNS_IT
from pyramid_cron.store.schema import processes, runs, tasks
from pyramid_cron.store.storable import storable
from pyramid_cron.store.task_conditions import of_run

SELECT_OUTPUTS_OF_RUN = StoreConnection.select(processes, processes.c.outputs).where(RUNS_IT)


class KeptOutput(NamedTuple):
    """What is kept of the output of a run, beside its progress.

    :param note: its note in one line, ``None`` if there was none; empty if it was removed.
    :param log: the end of what its task has logged, ``None`` if that is nothing.
    """

    note: str | None = None
    log: str | None = None

    @property
    def is_ascii(self) -> bool:
        """Whether each database takes it, whatever its encoding is."""
        return (self.note or '').isascii() and (self.log or '').isascii()


NOTHING = KeptOutput()


def kept_output(output: RunOutput | None, scrub: Scrubber) -> KeptOutput:
    """Return the output of a run as it may be kept until now."""
    if output is None:
        return NOTHING
    note, log = output.note, None
    # cut afterwards, because what is to be taken out may stand at the cut
    if note:
        note = Scrubbed(shortened(storable(scrub(note))))
    if output.log is not None and output.log.count:
        log = Scrubbed(end_of(storable(scrub(output.log.text())), output.log.limit))
    return KeptOutput(note, log)


def write_outputs(by_run: Mapping[str, KeptOutput]) -> str | None:
    """Return outputs by the fencing tokens of their runs as a text in ASCII, ``None`` without any."""
    values = {run_id: output for run_id, output in by_run.items() if output != NOTHING}
    return json.dumps(values) if values else None


def read_outputs(text: str | None) -> Mapping[str, KeptOutput]:
    """Return outputs by the fencing tokens of their runs; none of a text of a format to come."""
    try:
        # written by a process that may have another cron.scrub, which has scrubbed them
        return {
            run_id: KeptOutput(*(None if kept is None else Scrubbed(kept) for kept in output[:2]))
            for run_id, output in json.loads(text or '{}').items()
        }
    except (AttributeError, TypeError, ValueError):
        return {}


def output_of_dead(connection: StoreConnection, task: str, run_id: str) -> KeptOutput:
    """Return the output of a run that still holds its task, as its process has last written it."""
    text = connection.scalar(SELECT_OUTPUTS_OF_RUN, of_run(task, run_id))
    return read_outputs(text).get(run_id, NOTHING)


def outputs_of(connection: StoreConnection, run_ids: Collection[str]) -> dict[str, KeptOutput]:
    """Return the outputs of runs in the history by their ids, also of those in progress."""
    in_history = connection.select(runs, runs.c.id, runs.c.note, runs.c.log).where(runs.c.id.in_(run_ids))
    found = {run_id: KeptOutput(note, log) for run_id, note, log in connection.rows(in_history)}
    # few: only of tasks that run
    columns = tasks.c.run_id, processes.c.outputs
    live = connection.select(tasks, *columns).join(processes, tasks.c.process == processes.c.id)
    live = live.where(tasks.c.run_id.is_not(None), processes.c.outputs.is_not(None))
    for run_id, text in connection.rows(live):
        if run_id in run_ids:
            found[run_id] = read_outputs(text).get(run_id, NOTHING)
    return {run_id: output for run_id, output in found.items() if output != NOTHING}
