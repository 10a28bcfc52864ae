"""Backfills beside ticks: several processes make the same past minutes good at once."""

from datetime import timedelta

from pyramid_cron.claims import Backfill
from pyramid_cron.errors import Unavailable
from pyramid_cron.orders import run_backfill
from pyramid_cron.schedules.clock import EPOCH, MINUTE
from pyramid_cron.store.backfill_plan import plan_backfill

from .application import ENDS_EARLY

# how far back a process looks for what was not ok
SPAN = timedelta(minutes=90)
# simulated minutes for which all processes make the same task good, and how many past minutes they choose from
TURN, MOST_CHOICES = 20, 2


def backfill_one(app, registry, minute, chance):
    """Run a task for a minute before another one, for which it was not ok.

    :param chance: a random.Random.
    """
    # of a task that has committed a part by itself, a person has to know whether it may be repeated
    tasks = [task for task in registry['cron_tasks'] if task.name != ENDS_EARLY]
    task = tasks[(minute - EPOCH) // MINUTE // TURN % len(tasks)]
    try:
        choices = plan_backfill(registry['cron_store'], task, minute - SPAN, minute).run[:MOST_CHOICES]
        if choices:
            run_backfill(app, registry, Backfill(task.name, chance.choice(choices)), requested_by='ada')
    except Unavailable:
        # the database was locked, as by a process that is frozen with it
        pass
