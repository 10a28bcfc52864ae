"""The result of each task at a due minute: by its records, or without one by the rows that decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.history_entries import PastRun
from pyramid_cron.outcomes import PAUSED, QUEUED, RUNNING, STUCK
from pyramid_cron.run_summary import summarize_run
from pyramid_cron.schedules import clock
from pyramid_cron.store.decision import decide, owed_minutes
from pyramid_cron.store.due_runs import EARLIER_FIRST
from pyramid_cron.store.past_minute import why_without_record
from pyramid_cron.store.texts import busy_reason, paused_reason
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.store.snapshot import Snapshot
    from pyramid_cron.store.task_state import TaskState

# what a minute without a record is: it is to come, it is still owed, it is too late for it, or nothing is known of it
TO_COME, OWED, NOT_RUN, NOT_RECORDED = 'to come', 'did not run yet', 'did not run', 'not recorded'
WILL_BE_MISSED = ['the next tick records it as missed']


class MinuteResult(NamedTuple):
    """What became of a minute at which a task is due.

    :param task: the name of the task.
    :param minute: the minute, in UTC.
    :param runs: its records, the oldest first: runs and their attempts, or that it did not run.
    :param outcome: the outcome of the last of them; without a record :data:`TO_COME`, :data:`OWED`,
        :data:`NOT_RUN` or :data:`NOT_RECORDED`, or ``'paused'`` for a minute of a pause that no tick has recorded yet.
    :param why: why there is no record; empty with one.
    """

    task: str
    minute: datetime
    runs: Sequence[PastRun]
    outcome: str
    why: str = ''

    def describe_absence(self) -> str:
        """Return what became of it without a record."""
        if self.outcome == PAUSED:
            # which begins with the word
            return self.why
        return f'{self.outcome}: {self.why}' if self.why else self.outcome


def results_of(
    registry: Any, tasks: Iterable[Task], minute: datetime, examination: Examination
) -> Mapping[str, MinuteResult]:
    """Return what became of a minute for tasks that are due then, and for others with a record, by their names.

    :param examination: the rows of the tasks and what is wrong with them.
    :raises Unavailable: if the store cannot be read.
    """
    wanted = list(tasks)
    names = examination.snapshot.own_names(task.name for task in wanted)
    recorded: dict[str, list[PastRun]] = {}
    with registry['cron_store'].queries() as queries:
        for run in [] if queries is None else queries.for_minute(names, minute):
            recorded.setdefault(names[run.task], []).append(run)
    for runs in recorded.values():
        # those of two names
        runs.sort(key=lambda run: run.started)
    shown = (task for task in wanted if task.name in recorded or task.check(minute))
    return {task.name: _result(task, minute, recorded.get(task.name, []), examination) for task in shown}


def _result(task: Task, minute: datetime, runs: Sequence[PastRun], examination: Examination) -> MinuteResult:
    if runs:
        return MinuteResult(task.name, minute, runs, runs[-1].outcome)
    outcome, why = _without_record(task, minute, examination)
    return MinuteResult(task.name, minute, (), outcome, why)


def _without_record(task: Task, minute: datetime, examination: Examination) -> tuple[str, str]:
    """Return the outcome of a minute without a record, and why it has none."""
    snapshot = examination.snapshot
    state, present = snapshot.states.get(task.name), clock.minute_of(snapshot.now)
    if not task.store:
        return NOT_RECORDED, 'store=False: each process runs it for itself'
    if minute > present:
        return TO_COME, ''
    if state is None:
        return OWED, _why_no_tick(examination, minute) or 'no tick has come of a process that has it registered'
    if minute in owed_minutes(task, state, present):
        # the next tick records that; of one during a run, that it was skipped, unless the task owes those
        if state.is_paused_for(minute) and (task.runs_each_minute or not state.is_claimed):
            return PAUSED, paused_reason(state.pauses_at(minute)[0])
        why, then = _why_owed(task, state, minute, examination), _next(task, state, minute, examination)
        return NOT_RUN if then == WILL_BE_MISSED else OWED, '; '.join([why, *then])
    return NOT_RECORDED, why_without_record(state, minute, task.timezone)


def _why_no_tick(examination: Examination, minute: datetime) -> str:
    """Return why no tick has come for a minute; empty if one has."""
    ticks, of_ticks = examination.snapshot.ticks, examination.of_ticks
    if ticks is None:
        return str(of_ticks)
    if ticks.last >= minute:
        return ''
    return f'no tick has come for it{f" ({of_ticks})" if of_ticks is not None else ""}'


def _why_owed(task: Task, state: TaskState, minute: datetime, examination: Examination) -> str:
    snapshot = examination.snapshot
    if state.is_claimed:
        return busy_reason(state, task.timezone)
    no_tick = _why_no_tick(examination, minute)
    if no_tick:
        return no_tick
    if state.has_waited(minute):
        return 'its engine has no room for it'
    problem = None if snapshot.ticks is None else snapshot.ticks.problem
    if problem is not None:
        return f'the last tick failed: {problem}'
    return EARLIER_FIRST.reason if _waits_its_turn(task, state, minute, snapshot) else 'no tick has come to it yet'


def _waits_its_turn(task: Task, state: TaskState, minute: datetime, snapshot: Snapshot) -> bool:
    """Return whether the last tick has run a task for an earlier minute, or the next one does."""
    if not task.runs_each_minute or snapshot.ticks is None:
        return False
    ran_at_last_tick = state.busy_until is not None and state.busy_until >= snapshot.ticks.last
    is_first = minute == owed_minutes(task, state, clock.minute_of(snapshot.now))[0]
    return ran_at_last_tick or state.retry_reason is not None or not is_first


def _next(task: Task, state: TaskState, minute: datetime, examination: Examination) -> Sequence[str]:
    """Return what the next tick does about an owed minute."""
    snapshot = examination.snapshot
    if state.is_claimed:
        return ()
    present = clock.minute_of(snapshot.now)
    if task.runs_each_minute and state.busy_until is not None:
        # it runs once in a minute
        present = max(present, state.busy_until + clock.MINUTE)
    decision = decide(task, state, present, task.grace(snapshot.catch_up))
    if minute in decision.missed:
        return WILL_BE_MISSED
    if minute == decision.minute:
        return ['the next tick runs it']
    if decision.minute is not None and decision.attempt:
        shown = clock.to_zone(decision.minute, task.timezone).isoformat(' ', 'minutes')
        return [f'the next tick runs the task for {shown}']
    return [paused_reason(pause) for pause in state.pauses_at(present)[:1]]


def describe_result(result: MinuteResult, now: datetime, stuck: bool, format_time: Callable[[datetime], str]) -> str:
    """Return a result for people: each of its records, or why it has none.

    :param stuck: whether the run in progress of the task is stuck.
    :param format_time: returns the text of a minute.
    """
    if not result.runs:
        return result.describe_absence()
    return '; '.join(describe_record(run, now, stuck, format_time) for run in result.runs)


def describe_record(run: PastRun, now: datetime, stuck: bool, format_time: Callable[[datetime], str]) -> str:
    """Return one record of the history for people: ``ok in 3.2 s, process 12 on web2``."""
    summary = summarize_run(run, now, stuck, format_time)
    in_progress = summary.outcome in (RUNNING, QUEUED, STUCK)
    took = f' {"for" if in_progress else "in"} {summary.took}' if summary.took else ''
    if summary.outcome == PAUSED and summary.reason:
        # which begins with the word
        return summary.reason
    # the minute that it is for is known: that in which it began is not
    late = run.attempt > 0 and run.scheduled_for != clock.minute_of(run.started)
    began = [f'began at {format_time(run.started)}'] if late else []
    more = [part for part in summary.about if not (late and part.startswith('for '))]
    about = ', '.join([f'{summary.outcome}{took}', *began, *more])
    return f'{about}: {summary.reason}' if summary.reason else about
