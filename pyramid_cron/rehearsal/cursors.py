"""Cursors of any driver that pass their statements on to a held connection."""

from __future__ import annotations

from functools import cache
from typing import Any


class HeldCursor:
    """The methods of a cursor that execute statements. A class of the driver, or of the application, stands behind."""

    connection: Any

    def behind(self, name: str) -> Any:
        """Return a method of the class behind."""
        return getattr(super(), name)

    def pass_on(self, name: str, text: Any, *args: Any, **options: Any) -> Any:
        """Call a method of the class behind through the connection.

        :param name: the name of the method.
        :param text: the statement that the method executes; what follows are its arguments.
        """
        method = self.behind(name)
        return self.connection.run(self, text, lambda: method(*args, **options))

    def execute(self, query: Any, *args: Any, **options: Any) -> Any:
        return self.pass_on('execute', query, query, *args, **options)

    def executemany(self, query: Any, *args: Any, **options: Any) -> Any:
        return self.pass_on('executemany', query, query, *args, **options)


@cache
def held_class(factory: Any, methods: type) -> Any:
    """Return a class of the driver, or of the application, with methods that stand before its own."""
    return factory if issubclass(factory, methods) else type(f'Held{factory.__name__}', (methods, factory), {})
