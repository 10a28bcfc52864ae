"""A panel for pyramid_debugtoolbar: the tasks, and the report of the request if it was a tick.

The setting ``debugtoolbar.includes = pyramid_cron.toolbar`` adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from pyramid_debugtoolbar.panels import DebugPanel

from pyramid_cron.reports import RunReport
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import TaskSummary, summarize_all
from pyramid_cron.views import REPORT_KEY

HEADINGS = ('Task', 'Schedule', 'Time zone', 'Next run', 'Last run', 'Paused')


class CronDebugPanel(DebugPanel):
    """The tasks as they are when the panel is shown, and the report of the request if it was a tick."""

    name = 'cron'
    title = nav_title = 'Cron'

    def __init__(self, request: Any) -> None:
        self._registry = request.registry
        self._report: RunReport | None = None
        self.has_content = 'cron_tasks' in self._registry

    def wrap_handler(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def handle(request: Any) -> Any:
            response = handler(request)
            self._report = request.environ.get(REPORT_KEY)
            return response

        return handle

    @property
    def nav_subtitle(self) -> str:
        return '' if self._report is None else str(self._report)[:40]

    def render_content(self, request: Any) -> str:
        """Return the HTML of the panel."""
        parts = [] if self._report is None else _render_report(self._report)
        tasks = self._registry['cron_tasks']
        found = summarize_all(self._registry, tasks, clock.current_minute(), 1)
        if found.error is not None:
            parts.append(f'<p>Without last runs and pauses: {escape(str(found.error))}</p>')
        if found.of_ticks is not None:
            parts.append(f'<p>{escape(found.of_ticks.as_sentence())}</p>')
        parts += [f'<p>{escape(f"{problem.task} is {problem.kind}")}</p>' for problem in found.not_registered]
        parts.append('<h4>Tasks</h4>')
        parts.append(_table(HEADINGS, map(_row, found.tasks)))
        return '\n'.join(parts)


def _render_report(report: RunReport) -> list[str]:
    rows = [
        (
            task.name,
            task.outcome,
            f'{task.seconds:.3f} s',
            task.error or task.reason or '',
        )
        for task in report.tasks
    ]
    return [
        f'<h4>This tick, for {escape(report.minute.isoformat(" ", "minutes"))}</h4>',
        f'<p>{escape(str(report))}</p>',
        _table(('Task', 'Outcome', 'Time', 'Reason'), rows),
    ]


def _row(summary: TaskSummary) -> Sequence[str]:
    task, [next_run] = summary.task, summary.format_next_runs()
    schedule, zone = str(task.schedule), summary.zone_name
    return task.name, schedule, zone, next_run, summary.format_last_run(), summary.format_pause()


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_cells('th', headings), *(_cells('td', row) for row in rows)]
    return '<table class="table table-striped">\n{}\n</table>'.format('\n'.join(lines))


def _cells(tag: str, values: Sequence[str]) -> str:
    return '<tr>{}</tr>'.format(''.join(f'<{tag}>{escape(value)}</{tag}>' for value in values))


def includeme(config: Any) -> None:
    """Add the panel to the toolbar.

    :param config: the configurator of the toolbar's own application.
    """
    config.add_debugtoolbar_panel(CronDebugPanel)
