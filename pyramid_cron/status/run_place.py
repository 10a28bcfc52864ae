"""The place where the button "Run now" runs a task, and the texts that its confirmation shows about that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid_cron.config_uri import ADVICE
from pyramid_cron.durations import run_duration
from pyramid_cron.separate_runs import NAME, may_be_separate, separate_run
from pyramid_cron.tasks import Task
from pyramid_cron.usual_length import UsualLength

if TYPE_CHECKING:
    from pyramid_cron.store.task_state import TaskState


def describe_place(registry: Any, task: Task, state: TaskState | None) -> list[str]:
    """Return sentences about where a run by hand happens, and how long it takes.

    :param state: the row of the task, ``None`` if there is none.
    """
    if str(task.engine).partition(':')[0] == NAME or separate_run(registry, task) is not None:
        place = 'The task runs in its own process. The page returns at once.'
    elif task.engine is not None:
        place = f'The run is enqueued with {task.engine}, and a worker runs the task. The page returns at once.'
    else:
        place = 'The task runs in this web server, and the page returns when the task has ended.'
        if may_be_separate(registry, task):
            place += f' The task would run in its own process if the configuration file were known: {ADVICE}.'
    return [place, _describe_length(task, None if state is None else state.usual)]


def _describe_length(task: Task, usual: UsualLength | None) -> str:
    if usual is not None:
        return usual.as_sentence()
    if task.expect is not None:
        return f'The run is expected to take {run_duration(task.expect)}.'
    return 'The usual length is not known.'
