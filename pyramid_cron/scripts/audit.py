"""``pcron audit``: what became of each due minute of a task, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.store.due_minutes import (
    AWAITS_TICK,
    COMMITTED_ONCE,
    GOOD,
    IN_PARTS,
    NO_RECORD,
    NO_TICK,
    NOT_DUE,
    NOT_JOINED,
    NOT_RUN_YET,
    NOT_SURE,
    NOTHING_COMMITTED,
    TWICE,
    UNKNOWN,
    Account,
    Minute,
    fates,
)
from pyramid_cron.task_summary import LOCAL_TIME

# minutes that are listed without --verbose
MOST_LISTED = 20
INDENT = ' ' * 4

# what each fate means that is neither good nor the outcome of a run
MEANINGS = {
    TWICE: 'more than one run was ok, and each may have committed its work',
    IN_PARTS: 'the task committed something before its end, or was stopped and went on',
    NOT_SURE: 'an attempt before was not joined, or had committed by itself, and may have left something',
    NOT_JOINED: 'the record is a commit of its own, which proves nothing about the work: see cron.session',
    NOTHING_COMMITTED: 'the session of cron.session had nothing to commit; a task without work raises Skip',
    AWAITS_TICK: 'it has just come due: its tick comes, or has not claimed its run yet',
    NO_TICK: 'ticks have stopped, or do not come yet: the next one runs it or records it as missed',
    NOT_RUN_YET: 'ticks have come, and the task owes it still: "pcron list --at" shows the reason',
    NO_RECORD: 'it is later than the oldest record, and nothing is recorded of it',
    UNKNOWN: 'it is older than what is recorded',
    NOT_DUE: 'the schedule does not have that minute: by a server with other code, or another clock',
}


def audit_text(name: str, account: Account, keep: timedelta, zone: tzinfo | None, width: int, verbose: bool) -> str:
    """Return an account in lines, none longer than ``width`` unless a single word is.

    :param name: the name of the task.
    :param keep: how long records are kept.
    :param zone: the time zone of its times, ``None`` for the machine's.
    :param verbose: list each minute, in place of some that are not good.
    """

    def shown(instant: datetime) -> str:
        return f'{clock.to_zone(instant, zone):%Y-%m-%d %H:%M}'

    lines = wrap('', _headline(name, account), width)
    for sentence in (*_remarks(account), *_limits(account, keep, shown)):
        lines += wrap('', sentence, width)
    listed = list(account.minutes if verbose else (minute for minute in account.minutes if minute.fate not in GOOD))
    if listed:
        lines.append('')
    for minute in listed if verbose else listed[:MOST_LISTED]:
        lines += wrap('', f'{shown(minute.minute)}  {"; ".join(_details(minute, shown))}', width)
    if not verbose and len(listed) > MOST_LISTED:
        lines.append(f'{INDENT}and {len(listed) - MOST_LISTED} more: -v lists each minute')
    meanings = [fate for fate, _ in fates(account.counts) if fate in MEANINGS]
    for fate in meanings:
        lines += ['', *wrap('', f'{fate}: {MEANINGS[fate]}', width)]
    span = f'From {shown(account.first)} to {shown(account.last)}. Times are in {zone or LOCAL_TIME}.'
    return '\n'.join([*lines, '', *wrap('', span, width)])


def _headline(name: str, account: Account) -> str:
    counts = account.counts
    if not account.due:
        return f'{name}: no due minute of that time is known'
    shown = [f'{counts[COMMITTED_ONCE]:,} of {len(account.due):,} due minutes committed once']
    shown += [f'{count:,} {fate}' for fate, count in fates(counts) if fate not in (COMMITTED_ONCE, TWICE)]
    shown.append(f'{counts[TWICE] or "none"} twice')
    return f'{name}: {", ".join(shown)}'


def _remarks(account: Account) -> Iterator[str]:
    committed = [minute for minute in account.minutes if minute.fate == COMMITTED_ONCE]
    backfilled, late = (
        sum(minute.backfill for minute in committed),
        sum(minute.late and not minute.backfill for minute in committed),
    )
    if late:
        yield f'{late:,} of the {len(committed):,} ran late: caught up, waited, or tried again.'
    if backfilled:
        yield f'{backfilled:,} of the {len(committed):,} ran on request, by a backfill.'
    shifted = sum(minute.shifted for minute in account.minutes)
    if shifted:
        yield f'{_were(shifted)} due at the first minute after a time that the clocks skipped.'
    covered = sum(minute.covered_by is not None for minute in account.minutes)
    if covered:
        minutes, those = (
            ('1 minute has', 'this minute') if covered == 1 else (f'{covered:,} minutes have', 'these minutes')
        )
        yield (
            f"{minutes} no committed run. If the task works from system['since'] on, the next run did the work of "
            f'{those} too.'
        )
    if account.by_name:
        runs = '1 run' if account.by_name == 1 else f'{account.by_name:,} runs'
        yield f'{runs} by name besides, for no minute.'


def _were(number: int) -> str:
    return '1 was' if number == 1 else f'{number:,} were'


def _limits(account: Account, keep: timedelta, shown: Any) -> Iterator[str]:
    known = account.knowledge
    if account.unknown_until is not None:
        yield f'Not known: what was due, and what became of it, before {shown(account.unknown_until)}.'
    reasons = [
        f'records begin at {shown(known.recorded_from)} (cron.keep_history = {keep / timedelta(days=1):g} days)',
        f'the first tick of the task was at {shown(known.owed_from)}',
    ]
    if known.scheduled_from > clock.EPOCH:
        reasons.append(f'its schedule is known from {shown(known.scheduled_from)} on')
    yield f'What can be known: {"; ".join(reasons)}.'


def _details(minute: Minute, shown: Any) -> Iterator[str]:
    yield minute.fate if minute.reason is None else f'{minute.fate}: {minute.reason}'
    if minute.attempts > 1:
        yield f'{minute.attempts} runs'
    if minute.backfill:
        yield f'backfill{f", {minute.requested_by}" if minute.requested_by else ""}'
    elif minute.late:
        yield 'late'
    if minute.left and minute.fate not in (TWICE, IN_PARTS, NOT_SURE, NOT_JOINED):
        yield 'may have left something'
    if minute.covered_by is not None:
        yield f'the run for {shown(minute.covered_by)} came next'
    if minute.shifted:
        yield 'for a time that the clocks skipped'


def audit_json(name: str, account: Account, zone: tzinfo | None) -> str:
    """Return an account as JSON, with its times in a time zone."""

    def shown(instant: datetime | None) -> str | None:
        return None if instant is None else clock.to_zone(instant, zone).isoformat()

    known = account.knowledge
    result = {
        'task': name,
        'since': shown(account.first),
        'until': shown(account.last),
        'good': account.is_good,
        'due': len(account.due),
        'counts': dict(fates(account.counts)),
        'runs_by_name': account.by_name,
        'unknown_until': shown(account.unknown_until),
        'records_from': shown(known.recorded_from),
        'schedule_known_from': None if known.scheduled_from <= clock.EPOCH else shown(known.scheduled_from),
        'first_tick': shown(known.owed_from),
        'minutes': [
            {
                field: shown(value) if field in ('minute', 'covered_by') else value
                for field, value in minute._asdict().items()
            }
            for minute in account.minutes
        ],
    }
    return json.dumps(result, indent=2)
