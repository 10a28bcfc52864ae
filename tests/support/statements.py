"""Statements of the store, named by their kinds, tables and columns instead of by their text."""

import contextlib
from dataclasses import dataclass, field

from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import visitors

# what is logged about the statements of an outage
GONE = 'the store is not available: the database has gone'

#: the kinds of statements; ``lock`` is a select that locks the rows that it reads
KINDS = 'select', 'lock', 'insert', 'update', 'delete'


@dataclass(frozen=True)
class Statement:
    """One statement that was executed.

    :param kind: one of :data:`KINDS`, ``None`` for a statement that is a text.
    :param tables: the names of the tables in it, that which is written first.
    :param columns: the names of the columns that an insert or an update assigns.
    :param text: its text, for the plans of databases and for messages.
    """

    kind: str | None
    tables: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()
    text: str = field(default='', compare=False)
    #: the statements in its WITH that write or lock rows, for one that does several things at once
    parts: tuple['Statement', ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, text, context):
        """Return the statement of an execution.

        :param text: its text.
        :param context: its context; both are what SQLAlchemy passes to ``before_cursor_execute``.
        """
        compiled = context.compiled
        element = compiled and compiled.statement
        if element is None or not (element.is_dml or element.is_select):
            return cls(None, text=text)
        writing = [part for part in visitors.iterate(element) if getattr(part, 'is_dml', False)]
        if element.is_select and writing:
            locking = [part for part in visitors.iterate(element) if getattr(part, '_for_update_arg', None) is not None]
            return cls._of_element(
                element, text, parts=tuple(cls._of_element(part, text) for part in writing + locking)
            )
        return cls._of_element(element, text, compiled.column_keys)

    @classmethod
    def _of_element(cls, element, text, keys=(), parts=()):
        tables = [part.name for part in visitors.iterate(element) if part.__visit_name__ == 'table']
        if element.is_select:
            kind = 'select' if element._for_update_arg is None else 'lock'
            return cls(kind, tuple(dict.fromkeys(tables)), text=text, parts=parts)
        kind = next(kind for kind in ('insert', 'update', 'delete') if getattr(element, f'is_{kind}'))
        return cls(kind, tuple(dict.fromkeys([element.table.name, *tables])), _assigned(element, keys), text)

    def matches(self, *, of=None, kind=None, sets=None, begins_with=''):
        """Check whether it, or a part of it, is such a statement; each condition that is left out is met.

        :param of: a table. Of a statement that writes, it is the one that is written.
        :param kind: one of :data:`KINDS`, or several.
        :param sets: the name of a column that is assigned.
        :param begins_with: how its text begins. Name the table and the kind instead.
        """
        kinds = (kind,) if isinstance(kind, str) else kind
        unknown = set(kinds or ()) - set(KINDS)
        assert not unknown, f'no kinds of statements: {unknown}'
        used = self.tables if self.kind in ('select', 'lock') else self.tables[:1]
        return any(part.matches(of=of, kind=kind, sets=sets, begins_with=begins_with) for part in self.parts) or (
            (of is None or of.name in used)
            and (kinds is None or self.kind in kinds)
            and (sets is None or sets in self.columns)
            and self.text.startswith(begins_with)
        )


def _assigned(element, keys):
    if element.is_delete:
        return frozenset()
    # an update in the order of its columns keeps them elsewhere, and many rows at once are with the execution
    values = element._values or dict(getattr(element, '_ordered_values', None) or ())
    names = [*values, *(getattr(element, '_select_names', None) or ()), *(keys or ())]
    return frozenset(getattr(column, 'name', column) for column in names)


@contextlib.contextmanager
def before_each(engine, call):
    """Call something with the :class:`Statement` of each execution of an engine in the ``with``."""

    def listen(connection, cursor, text, parameters, context, executemany):
        call(Statement.of(text, context))

    event.listen(engine, 'before_cursor_execute', listen)
    try:
        yield
    finally:
        event.remove(engine, 'before_cursor_execute', listen)


@contextlib.contextmanager
def executed(engine):
    """Yield a list that receives each :class:`Statement` that is executed in the ``with``."""
    found = []
    with before_each(engine, found.append):
        yield found


@contextlib.contextmanager
def outage(engine, times=10**6, **condition):
    """Fail the statements that meet a condition, as they do when the database has gone.

    The ``with`` yields a list that receives the statements that failed.

    :param times: how many of them fail.
    :param condition: as of :meth:`Statement.matches`; without one all fail.
    """
    found = []

    def fail(statement):
        if statement.matches(**condition) and len(found) < times:
            found.append(statement)
            raise OperationalError(statement.text, {}, Exception('the database\nhas gone'))

    with before_each(engine, fail):
        yield found


@contextlib.contextmanager
def overtaken(engine, by, **condition):
    """Call something just before the first statement that meets a condition.

    :param by: what is called.
    :param condition: as of :meth:`Statement.matches`.
    """
    waiting = [by]

    def overtake(statement):
        if waiting and statement.matches(**condition):
            waiting.pop()()

    with before_each(engine, overtake):
        yield
    assert not waiting
