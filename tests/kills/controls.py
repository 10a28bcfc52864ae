"""Controls: faults that the harness has to find, each taking out one thing that a promise rests on."""

from sqlalchemy import and_, or_

from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_rows import TaskStates


def repeated():
    """Repeat lost runs although nothing ties them to what they did."""
    claim = TaskStates.claim

    def claim_repeatable(states, task, minute, attempt, **values):
        claimed = claim(states, task, minute, attempt, **values)
        if claimed:
            states._change(tasks.c.task == task, transactional=True)
        return claimed

    TaskStates.claim = claim_repeatable


def unfenced():
    """Release the row of a task although another process has claimed it."""

    def release(states, task, run_id, **values):
        return states._change(tasks.c.task == task, run_id=None, process=None, handed_over_for=None, **values)

    TaskStates.release = release


def unguarded():
    """Claim a task although another process runs it."""

    def claim(states, task, minute, attempt, **values):
        free = [tasks.c.task == task]
        if attempt > 1:
            free += [tasks.c.last_minute == minute, tasks.c.retry_reason.is_not(None)]
        else:
            free += [or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < minute)]
        values |= {'last_minute': minute, 'attempt': attempt, 'retry_reason': None, 'transactional': False}
        return states._change(and_(*free), **values)

    TaskStates.claim = claim


# and whether runs are joined to the session of the request
CONTROLS = {'repeated': (repeated, False), 'unfenced': (unfenced, True), 'unguarded': (unguarded, True)}
