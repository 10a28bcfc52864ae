"""The output of the runs in progress in this process: collected, and written by heartbeats if it has changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo

from sqlalchemy import bindparam

from pyramid_cron.errors import Unavailable
from pyramid_cron.run_log import RunLog, kept_in
from pyramid_cron.run_output import RunOutput
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.leases import IS_THIS_PROCESS, THIS_PROCESS
from pyramid_cron.store.live_outputs import kept_output, write_outputs
from pyramid_cron.store.live_progress import write_progress
from pyramid_cron.store.schema import processes

log = logging.getLogger(__name__)

PROGRESS = bindparam('new_progress', type_=processes.c.progress.type)
OUTPUTS = bindparam('new_outputs', type_=processes.c.outputs.type)
WRITE = StoreConnection.update(processes).where(IS_THIS_PROCESS).values(progress=PROGRESS, outputs=OUTPUTS)


class RunOutputs:
    """The outputs of the runs in progress in this process.

    :param database: the database of the store.
    :param keep_log: how many bytes of the log of a run are kept, 0 for nothing.
    :param zone: the time zone of the times in it, ``None`` for the machine's.
    """

    def __init__(self, database: Database, keep_log: int, zone: tzinfo | None) -> None:
        self._database = database
        self._keep_log = keep_log
        self._zone = zone
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._in_progress: dict[str, RunOutput] = {}
        # what the row of this process has
        self._written: tuple[str | None, str | None] = (None, None)

    @contextmanager
    def keep(self, run_id: str, output: RunOutput) -> Iterator[None]:
        """Collect the output of a run, in a ``with`` around its task, until :meth:`end`.

        :param run_id: its fencing token.
        """
        if self._process != os.getpid():
            # the runs of a parent process are the parent's
            self._begin()
        if self._keep_log:
            output.log = RunLog(self._keep_log, self._zone)
        self._in_progress[run_id] = output
        with kept_in(output.log):
            yield

    def end(self, run_id: str) -> None:
        """End the output of a run that was written, or that will be."""
        output = self._in_progress.pop(run_id, None)
        if output is not None and output.log is not None:
            # a thread of the task may go on, and has the log in its context
            output.log.close()

    def write(self, process_id: str) -> None:
        """Write the outputs into the row of this process, if they have changed.

        :param process_id: this process, as the store knows it.
        """
        outputs = dict(self._in_progress)
        found = {run_id: output.meter.latest() for run_id, output in outputs.items()}
        progress = write_progress({run_id: latest for run_id, latest in found.items() if latest is not None})
        scrub = self._database.scrub
        texts = write_outputs({run_id: kept_output(output, scrub) for run_id, output in outputs.items()})
        if (progress, texts) == self._written:
            return
        values = {THIS_PROCESS.key: process_id, PROGRESS.key: progress, OUTPUTS.key: texts}
        try:
            # no wait for the disk on SQLite, where a task may want to write
            with self._database.autocommit() as connection:
                is_written = connection.execute(WRITE, values)
        except Unavailable as exc:
            log.warning('the output of runs in progress cannot be recorded yet: %s', exc)
        else:
            if is_written:
                self._written = progress, texts
