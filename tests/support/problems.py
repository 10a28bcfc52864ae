"""What is wrong with tasks whose ticks are long past."""

from pyramid_cron.monitoring.examine import examine


def task_problems(registry):
    """Return the problems of the tasks, without that they were due since the last tick."""
    return [problem for problem in examine(registry).problems if problem.task and not problem.never_begun]
