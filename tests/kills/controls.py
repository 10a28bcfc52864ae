"""Controls: faults that the harness has to find, each taking out one thing that a promise rests on."""

from sqlalchemy import and_, false

from pyramid_cron.outcomes import OK
from pyramid_cron.store import acquire, claim_statement, claiming, complete, end_statement, task_claims
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_conditions import IS_OLDER, IS_TO_RETRY, THIS_MINUTE, THIS_TASK

IS_TASK = tasks.c.task == THIS_TASK


def repeated():
    """Repeat lost runs although nothing ties them to what they did."""
    claim, acquire_first = TaskClaims.claim, claiming.acquire_first

    def make_repeatable(connection, task):
        CompareAndSet(connection).change(IS_TASK, {THIS_TASK.key: task}, transactional=True)

    def claim_repeatable(claims, task, minute, attempt, **values):
        claimed = claim(claims, task, minute, attempt, **values)
        if claimed:
            make_repeatable(claims._connection, task)
        return claimed

    def acquire_repeatable(connection, *arguments):
        claimed = acquire_first(connection, *arguments)
        for run in claimed:
            make_repeatable(connection, run.task.name)
        return claimed

    TaskClaims.claim, claiming.acquire_first = claim_repeatable, acquire_repeatable


def unfenced():
    """Release the row of a task although another process has claimed it."""
    task_claims.HOLDS_RUN = end_statement.HOLDS_RUN = IS_TASK


def unguarded():
    """Claim a task although another process runs it."""
    task_claims.IS_FREE_AND_OLDER = and_(IS_TASK, IS_OLDER)
    task_claims.WAITS_FOR_ATTEMPT = and_(IS_TASK, tasks.c.last_minute == THIS_MINUTE, IS_TO_RETRY)
    claim_statement.IS_CLAIMED = false()


def rerun():
    """Run a task for a past minute without a look whether it was ok meanwhile."""
    claim_past = acquire.claim_past

    def claim_again(connection, process, run, *arguments):
        run.backfill = run.backfill._replace(again=True)
        return claim_past(connection, process, run, *arguments)

    acquire.claim_past = claim_again


def apart():
    """Move ``since`` in a transaction of its own, after that of the task."""
    of_end, release = complete.of_end, StoreClaims.release

    def without_since(*arguments):
        return {name: value for name, value in of_end(*arguments).items() if name != 'last_success_for'}

    def release_and_move(claims, run, report, is_last=False):
        report = release(claims, run, report, is_last)
        if report.outcome == OK:
            with claims.database.begin() as connection:
                known = {THIS_TASK.key: run.task.name}
                CompareAndSet(connection).change(IS_TASK, known, last_success_for=run.minute)
        return report

    complete.of_end, StoreClaims.release = without_since, release_and_move


# and whether runs are joined to the session of the request
CONTROLS = {
    'repeated': (repeated, False),
    'unfenced': (unfenced, True),
    'unguarded': (unguarded, True),
    'rerun': (rerun, True),
    'apart': (apart, True),
}
