"""Controls: faults that the harness has to find, each taking out one thing that a promise rests on."""

from sqlalchemy import and_, false

from pyramid_cron.store import claim_statement, claiming, end_statement, task_rows
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_conditions import IS_OLDER, IS_TO_RETRY, THIS_MINUTE, THIS_TASK
from pyramid_cron.store.task_rows import TaskStates

IS_TASK = tasks.c.task == THIS_TASK


def repeated():
    """Repeat lost runs although nothing ties them to what they did."""
    claim, acquire_first = TaskStates.claim, claiming.acquire_first

    def make_repeatable(states, task):
        states._change(IS_TASK, {THIS_TASK.key: task}, transactional=True)

    def claim_repeatable(states, task, minute, attempt, **values):
        claimed = claim(states, task, minute, attempt, **values)
        if claimed:
            make_repeatable(states, task)
        return claimed

    def acquire_repeatable(connection, *arguments):
        claimed = acquire_first(connection, *arguments)
        for run in claimed:
            make_repeatable(TaskStates(connection), run.task.name)
        return claimed

    TaskStates.claim, claiming.acquire_first = claim_repeatable, acquire_repeatable


def unfenced():
    """Release the row of a task although another process has claimed it."""
    task_rows.HOLDS_RUN = end_statement.HOLDS_RUN = IS_TASK


def unguarded():
    """Claim a task although another process runs it."""
    task_rows.IS_FREE_AND_OLDER = and_(IS_TASK, IS_OLDER)
    task_rows.WAITS_FOR_ATTEMPT = and_(IS_TASK, tasks.c.last_minute == THIS_MINUTE, IS_TO_RETRY)
    claim_statement.IS_CLAIMED = false()


# and whether runs are joined to the session of the request
CONTROLS = {'repeated': (repeated, False), 'unfenced': (unfenced, True), 'unguarded': (unguarded, True)}
