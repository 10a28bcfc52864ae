"""Controls: faults that the harness has to find, each taking out one thing that a promise rests on."""

from sqlalchemy import or_, update

from pyramid_cron.store import task_state
from pyramid_cron.store.schema import tasks


def repeated():
    """Repeat lost runs although nothing ties them to what they did."""
    take = task_state.take
    task_state.take = lambda *arguments, **values: take(*arguments, **(values | {'transactional': True}))


def unfenced():
    """Let a process that was taken over end its run all the same."""

    def give_back(connection, app, task, run_id, **values):
        ended = update(tasks).where(tasks.c.app == app, tasks.c.task == task)
        return connection.execute(ended.values(run_id=None, process=None, **values)).rowcount == 1

    task_state.give_back = give_back


def unguarded():
    """Let a process take a task that another one runs."""

    def take(connection, app, task, minute, attempt, **values):
        free = [tasks.c.app == app, tasks.c.task == task]
        if attempt > 1:
            free += [tasks.c.last_minute == minute, tasks.c.again.is_not(None)]
        else:
            free += [or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < minute)]
        values |= {'last_minute': minute, 'attempt': attempt, 'again': None}
        return connection.execute(update(tasks).where(*free).values(**values)).rowcount == 1

    task_state.take = take


# and whether runs are joined to the session of the request
CONTROLS = {'repeated': (repeated, False), 'unfenced': (unfenced, True), 'unguarded': (unguarded, True)}
