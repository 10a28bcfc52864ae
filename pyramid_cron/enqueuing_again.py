"""Enqueues queued runs again that no worker has begun, all of a tick that go to one broker together."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from pyramid_cron.claims import Run, SharedClaims
from pyramid_cron.errors import Unavailable
from pyramid_cron.isolation import Exits, ends_process
from pyramid_cron.printable import class_name, message
from pyramid_cron.sending import Sender, broker_of

log = logging.getLogger(__name__)


def by_broker(runs: Iterable[Run]) -> list[tuple[SharedClaims, list[Run]]]:
    """Return runs that have engines and shared claims by what receives them, each with their claims."""
    found: dict[Any, tuple[SharedClaims, list[Run]]] = {}
    for run in runs:
        engine, shared = run.engine, run.shared
        if engine is not None and shared is not None:
            found.setdefault((broker_of(engine), engine.within_claim), (shared, []))[1].append(run)
    return list(found.values())


def enqueue_again(runs: Sequence[Run], sender: Sender, exits: Exits) -> None:
    """Enqueue queued runs again. One that cannot be is left for the next tick, and stays queued.

    :param exits: exceptions that end the process if an engine raises them in the main thread.
    """
    for shared, batch in by_broker(runs):
        if sender.is_silent(batch[0].engine):
            log.warning('%d queued runs are not enqueued again: %s does not answer', len(batch), batch[0].engine)
            continue
        claimed = shared.claim_again(batch)
        if batch[0].engine is not None and batch[0].engine.within_claim:
            for run in claimed:
                _log(run)
            continue
        _send(shared, claimed, sender, exits)


def _send(shared: SharedClaims, runs: Sequence[Run], sender: Sender, exits: Exits) -> None:
    failed = dict.fromkeys(runs, 'it was interrupted before that')
    try:
        for run in runs:
            try:
                sender.send(run)
            except BaseException as exc:
                if ends_process(exc, exits):
                    raise
                failed[run] = f'{class_name(exc)}: {message(exc)}'
                log.warning('task %s cannot be enqueued again: %s', run.task.name, failed[run])
            else:
                del failed[run]
                _log(run)
    finally:
        if failed:
            _give_back(shared, failed)


def _give_back(shared: SharedClaims, failed: dict[Run, str]) -> None:
    try:
        shared.send_again_later(failed)
    except Unavailable as exc:
        # they count as enqueued again at this time
        log.warning('it cannot be recorded that %d runs were not enqueued again: %s', len(failed), exc)


def _log(run: Run) -> None:
    log.warning('task %s is enqueued again with %s, because no worker has begun it', run.task.name, run.engine)
