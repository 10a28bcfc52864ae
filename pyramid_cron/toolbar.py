"""A panel for pyramid_debugtoolbar: the tasks, and the report of the request if it was a tick.

The setting ``debugtoolbar.includes = pyramid_cron.toolbar`` adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from pyramid_debugtoolbar.panels import DebugPanel

from pyramid_cron.outcomes import PAUSED
from pyramid_cron.reports import RunReport
from pyramid_cron.schedules import clock
from pyramid_cron.status.attention import Notice
from pyramid_cron.status.formatting import FormattedDue, FormattedTime
from pyramid_cron.status.task_filter import TaskFilter
from pyramid_cron.status.tasks_page import TaskRow, TasksPage, read_tasks_page
from pyramid_cron.views import REPORT_KEY

# those of the status page
HEADINGS = ('Task', 'Schedule', 'Last due', 'Last runs', 'Next run')


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
        now, zone = clock.now(), self._registry['cron_settings'].timezone
        parts += _render_tasks(read_tasks_page(self._registry, TaskFilter(), now, zone))
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


def _render_tasks(page: TasksPage) -> list[str]:
    """Return what the status page shows of all tasks."""
    lines = [_notice_text(notice) for notice in page.notices]
    if page.last_tick is not None:
        lines.append(f'Last tick: {_time_text(page.last_tick)}')
    parts = [f'<p>{escape(line)}</p>' for line in lines]
    return [*parts, '<h4>Tasks</h4>', _table(HEADINGS, map(_row, page.rows))]


def _notice_text(notice: Notice) -> str:
    return f'{notice.kind}: {_join(" ", notice.before, ", ".join(notice.tasks), notice.after)}'


def _row(row: TaskRow) -> Sequence[str]:
    words = f'{row.words}, by {row.schedule_by}' if row.schedule_by else row.words
    return (
        _join('; ', row.name, PAUSED if row.paused else '', row.description),
        _join('; ', words, row.crontab, row.zone, 'when idle' if row.idle else ''),
        '' if row.last_due is None else _due_text(row.last_due),
        '' if row.strip is None else row.strip.text,
        row.why_none if row.next_run is None else _time_text(row.next_run),
    )


def _due_text(last: FormattedDue) -> str:
    return _join('; ', _join(' ', last.word, last.when), last.took, *last.lines)


def _time_text(at: FormattedTime) -> str:
    return f'{at.text}, {at.distance}'


def _join(separator: str, *texts: str) -> str:
    return separator.join(filter(None, texts))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_cells('th', headings), *(_cells('td', row) for row in rows)]
    return '<table class="table table-striped">\n{}\n</table>'.format('\n'.join(lines))


def _cells(tag: str, values: Sequence[str]) -> str:
    return '<tr>{}</tr>'.format(''.join(f'<{tag}>{escape(value)}</{tag}>' for value in values))


def includeme(config: Any) -> None:
    """Add a panel with the tasks to pyramid_debugtoolbar.

    The setting ``debugtoolbar.includes = pyramid_cron.toolbar`` calls it.

    :param config: the configurator of the toolbar's own application.
    """
    config.add_debugtoolbar_panel(CronDebugPanel)
