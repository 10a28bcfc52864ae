"""Statements of the store, named by their kinds, tables and columns instead of by their text."""

from dataclasses import dataclass

from sqlalchemy.sql import visitors

#: the kinds of statements; ``lock`` is a select that locks the rows that it reads
KINDS = 'select', 'lock', 'insert', 'update', 'delete'


@dataclass(frozen=True)
class Statement:
    """One statement that was executed.

    :param kind: one of :data:`KINDS`, ``None`` for a statement that is a text.
    :param tables: the names of the tables in it, that which is written first.
    :param columns: the names of the columns that an insert or an update assigns.
    """

    kind: str | None
    tables: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()

    @classmethod
    def of(cls, context):
        """Return the statement of an execution.

        :param context: what SQLAlchemy passes to ``before_cursor_execute``.
        """
        compiled = context.compiled
        element = compiled and compiled.statement
        if element is None or not (element.is_dml or element.is_select):
            return cls(None)
        tables = [part.name for part in visitors.iterate(element) if part.__visit_name__ == 'table']
        if element.is_select:
            kind = 'select' if element._for_update_arg is None else 'lock'
            return cls(kind, tuple(dict.fromkeys(tables)))
        kind = next(kind for kind in ('insert', 'update', 'delete') if getattr(element, f'is_{kind}'))
        return cls(kind, tuple(dict.fromkeys([element.table.name, *tables])), _assigned(element))

    def matches(self, *, of=None, kind=None, sets=None):
        """Check whether it is such a statement; each condition that is left out is met.

        :param of: a table. Of a statement that writes, it is the one that is written.
        :param kind: one of :data:`KINDS`, or several.
        :param sets: a column that is assigned.
        """
        kinds = (kind,) if isinstance(kind, str) else kind
        unknown = set(kinds or ()) - set(KINDS)
        assert not unknown, f'no kinds of statements: {unknown}'
        used = self.tables if self.kind in ('select', 'lock') else self.tables[:1]
        return (
            (of is None or of.name in used)
            and (kinds is None or self.kind in kinds)
            and (sets is None or sets in self.columns)
        )


def _assigned(element):
    if element.is_delete:
        return frozenset()
    # an update in the order of its columns keeps them elsewhere
    values = element._values or dict(getattr(element, '_ordered_values', None) or ())
    return frozenset(getattr(column, 'name', column) for column in values)
