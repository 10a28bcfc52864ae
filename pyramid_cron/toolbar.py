"""A panel for pyramid_debugtoolbar: the tasks, and for a tick what became of them.

It is found by its name, in the setting ``debugtoolbar.includes = pyramid_cron.toolbar``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from pyramid_debugtoolbar.panels import DebugPanel

from pyramid_cron.claims import Unavailable
from pyramid_cron.reports import RunReport
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import Overview
from pyramid_cron.views import REPORT_KEY

HEADINGS = ('Task', 'Schedule', 'Time zone', 'Next run', 'Last run', 'Paused')


class CronDebugPanel(DebugPanel):
    """Tasks, their next and last runs as of when it is looked at, and the report of the request if it was a tick."""

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
        parts = []
        if self._report is not None:
            rows = [
                (
                    task.name,
                    task.outcome,
                    f'{task.seconds:.3f} s',
                    type(task.exception).__name__ if task.exception else task.reason or '',
                )
                for task in self._report.tasks
            ]
            parts.append(f'<h4>This tick, for {escape(self._report.minute.isoformat(" ", "minutes"))}</h4>')
            parts.append(f'<p>{escape(str(self._report))}</p>')
            parts.append(_table(('Task', 'Status', 'Time', 'Why'), rows))
        claims, last, pauses = self._registry['cron_claims'], {}, {}
        try:
            last, pauses = claims.last_runs(), claims.paused()
        except Unavailable as exc:
            parts.append(f'<p>Without last runs and pauses: {escape(str(exc))}</p>')
        now = clock.current_minute()
        entries = [
            Overview.of(task, now, 1, last.get(task.name), pauses.get(task.name))
            for task in self._registry['cron_tasks']
        ]
        parts.append('<h4>Tasks</h4>')
        parts.append(_table(HEADINGS, map(_row, entries)))
        return '\n'.join(parts)


def _row(entry: Overview) -> Sequence[str]:
    task = entry.task
    return task.name, str(task.schedule), entry.zone, entry.next_runs()[0], entry.last_run(), entry.paused()


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_cells('th', headings), *(_cells('td', row) for row in rows)]
    return '<table class="table table-striped">\n{}\n</table>'.format('\n'.join(lines))


def _cells(tag: str, values: Sequence[str]) -> str:
    return '<tr>{}</tr>'.format(''.join(f'<{tag}>{escape(value)}</{tag}>' for value in values))


def includeme(config: Any) -> None:
    """Add the panel. ``config`` is that of the toolbar's own application."""
    config.add_debugtoolbar_panel(CronDebugPanel)
