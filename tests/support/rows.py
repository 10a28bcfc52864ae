"""The rows of tasks, with what reads and changes them."""

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates
from tests.support.servers import INSTANT


def at(minute):
    return INSTANT + minute * MINUTE


class Rows:
    """The rows of an application's tasks, by one connection."""

    def __init__(self, connection):
        self.states = TaskStates(connection)
        self.claims = TaskClaims(connection)
        self.results = TaskResults(connection)
        self.registered = RegisteredTasks(connection)

    def get(self):
        """Return the state of the task that has the name ``task``."""
        return self.states.get('task')

    def claim(self, minute, attempt=1, run_id='mine', **values):
        """Claim it for a minute, or for a run by name, and return whether it was free."""
        values = {'run_id': run_id, 'process': 'me', 'started_at': 0.0} | values
        return self.claims.claim('task', None if minute is None else at(minute), attempt, **values)
