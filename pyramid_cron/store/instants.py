"""The type of the columns with a date and a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Dialect, TypeDecorator

from pyramid_cron.store.dialects import INSTANT


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC and without its zone."""

    impl = INSTANT
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        read = super().result_processor(dialect, coltype)
        if read is None or dialect.name != 'sqlite':
            return read

        # SQLite stores any value in any column
        def read_or_explain(value: Any) -> datetime | None:
            try:
                return read(value)
            except (TypeError, ValueError) as exc:
                raise ValueError(
                    f'a row has {value!r} in place of a time: correct the value, or delete the row'
                ) from exc

        return read_or_explain
