"""Every ``cron.*`` setting: its name, its default and how its text becomes a value."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from pyramid.settings import aslist

from pyramid_cron.access import Network, parse_network
from pyramid_cron.clock import parse_zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PREFIX = 'cron.'
SHORTEST_SECRET = 16


def _path(value: Any) -> str:
    if (
        not isinstance(value, str)
        or not value.strip('/')
        or '//' in value
        or not value.isprintable()
        or any(c in '{}*:?#% ' for c in value)
    ):
        raise ValueError('it has to be one fixed path, such as /cron')
    return value


def _networks(value: Any) -> tuple[Network, ...]:
    networks = tuple(map(parse_network, aslist(value)))
    if not networks:
        raise ValueError('it is empty, so that nobody could trigger a run')
    return networks


def _secret(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) < SHORTEST_SECRET:
        raise ValueError(f'it has to be a text of {SHORTEST_SECRET} characters or more')
    if value != value.strip() or not value.isprintable():
        raise ValueError('no header can carry white space around it or characters that are not printable')
    return value.encode()


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError('it has to be a number of seconds above 0')
    return float(value)


def _setting(default: Any, convert: Callable[[Any], Any], **options: Any) -> Any:
    return field(metadata={'default': default, 'convert': convert}, **options)


@dataclass(frozen=True)
class Settings:
    """The settings as values: the attribute ``window`` is the setting ``cron.window``, and so on."""

    path: str = _setting('/cron', _path)
    #: networks from which a run may be triggered; ``None`` (with a secret, if the setting is left out) for any
    allowed_ips: tuple[Network, ...] | None = _setting('127.0.0.1 ::1', _networks)
    #: what ``Authorization: Bearer`` has to carry, in UTF-8; ``None`` if addresses decide
    secret: bytes | None = _setting(None, _secret, repr=False)
    #: seconds from the start of a run that ``time_left()`` counts down from
    window: float = _setting('60', _seconds)
    #: the time zone of schedules; ``None`` for the machine's local time
    timezone: ZoneInfo | None = _setting(None, parse_zone)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Settings:
        """Return the values of an application's settings.

        :param settings: a mapping such as ``config.get_settings()``; keys other than ``cron.*`` do not matter.
        :raises pyramid.exceptions.ConfigurationError: for a bad value, naming the setting.
        """
        known = {PREFIX + spec.name: spec for spec in fields(cls)}
        values: dict[str, Any] = {}
        for key, spec in known.items():
            value = settings.get(key, spec.metadata['default'])
            if value is None and key not in settings:
                values[spec.name] = None
                continue
            try:
                values[spec.name] = spec.metadata['convert'](value)
            except (OverflowError, TypeError, ValueError) as exc:
                # a secret has no place in a log or on a terminal
                shown = f' = {value!r}' if spec.repr else ''
                raise ConfigurationError(f'bad setting {key}{shown}: {exc}') from None
        if values['secret'] is not None and PREFIX + 'allowed_ips' not in settings:
            values['allowed_ips'] = None
        return cls(**values)


def warn_of_misspelt(settings: Mapping[str, Any]) -> None:
    """Warn of keys that are no settings but look like one."""
    known = [PREFIX + spec.name for spec in fields(Settings)]
    for key in settings:
        if str(key).startswith(PREFIX) and key not in known:
            # seldom needed, and slow to import
            import difflib

            for meant in difflib.get_close_matches(key, known, n=1):
                warnings.warn(f'{key} is not a setting of pyramid_cron; is {meant} meant?', UserWarning, stacklevel=2)
