"""The table of ``cron.*`` settings: the name, the default and the converter of each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from pyramid.settings import asbool, aslist, falsey, truthy

from pyramid_cron import callables
from pyramid_cron.access.addresses import Network, parse_network
from pyramid_cron.access.rules import METHODS
from pyramid_cron.callables import dotted_path
from pyramid_cron.external_url import BaseURL
from pyramid_cron.log_url import LogURL
from pyramid_cron.missed_minutes import LONGEST, parse_catch_up
from pyramid_cron.schedule_overrides import ScheduleOverrides
from pyramid_cron.schedules import clock
from pyramid_cron.task_lines import TaskLines
from pyramid_cron.transactions import Wrapper

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PREFIX = 'cron.'
# of a log that is kept; the most is what a column of MySQL takes
SIZE = re.compile(r'([0-9]{1,9})([kK]?)', re.ASCII)
KILO, SHORTEST_LOG, LONGEST_LOG = 1000, 100, 64_000
SHORTEST_SECRET = 16
# of a shell, or of a tool that writes ini files
VARIABLE = re.compile(r'\$\w+|\$\{\w+\}|\{\{.*\}\}')

# neither a message nor a repr shows their values
SECRETS = ('secret', 'monitor_secret', 'store', 'healthchecks', 'healthchecks_tasks')
# a message shows what is wrong in them, and not all of their lines
OF_SEVERAL_LINES = ('schedules', 'sentry_monitors')
MAKE_SECRET = 'python3 -c "import secrets; print(secrets.token_urlsafe())" makes one'


def fixed_path(value: Any) -> str:
    """Return a path without parts that a request could vary."""
    if (
        not isinstance(value, str)
        or not value.strip('/')
        or '//' in value
        or not value.isprintable()
        or any(c in '{}*:?#% ' for c in value)
        # which proxies and clients leave out
        or not {'.', '..'}.isdisjoint(value.split('/'))
    ):
        raise ValueError('it has to be one fixed path, such as /cron')
    return value


def _networks(value: Any) -> tuple[Network, ...]:
    value = '' if value is None else value
    listed = [item.split(',') if isinstance(item, str) else [item] for item in aslist(value)]
    networks = tuple(parse_network(item) for items in listed for item in items if item != '')
    if not networks:
        raise ValueError('it is empty, so that no address would be allowed')
    return networks


def _secret(value: Any) -> bytes:
    if value is None or value == '':
        raise ValueError(f'it is empty, perhaps because an environment variable is not set; {MAKE_SECRET}')
    if not isinstance(value, str) or len(value) < SHORTEST_SECRET:
        raise ValueError(f'it has to be a text of {SHORTEST_SECRET} characters or more; {MAKE_SECRET}')
    if VARIABLE.fullmatch(value):
        raise ValueError(f'it is the name of a variable that was not replaced by its value; {MAKE_SECRET}')
    if value != value.strip() or not value.isprintable():
        raise ValueError('no header can carry white space around it or characters that are not printable')
    return value.encode()


def _seconds(value: Any) -> float:
    return _above_zero(value, 'seconds')


def _method(value: Any) -> str:
    if not isinstance(value, str) or value.upper() not in METHODS:
        raise ValueError('it has to be GET or POST')
    return value.upper()


def _days(value: Any) -> timedelta:
    return timedelta(days=_above_zero(value, 'days'))


def _above_zero(value: Any, unit: str) -> float:
    if isinstance(value, bool) or not 0 < float(value) <= LONGEST / timedelta(**{unit: 1}):
        raise ValueError(f'it has to be a number of {unit} above 0; {LONGEST.days} days at most')
    return float(value)


def _wrapper(value: Any) -> Wrapper:
    wrapper: Wrapper = callables.resolve(value)
    if inspect.isgeneratorfunction(wrapper):
        raise ValueError('it is a generator function; write @contextlib.contextmanager above it')
    _check_callable(wrapper, class_too=True)
    return wrapper


def _scrub(value: Any) -> Callable[[str], str]:
    function: Callable[[str], str] = callables.resolve(value)
    _check_callable(function, argument='text')
    return function


def _check_callable(function: Any, class_too: bool = False, argument: str = 'system') -> None:
    try:
        callables.check(function, class_too=class_too, argument=argument)
    except ValueError as exc:
        raise ValueError(f'{dotted_path(function) if callable(function) else repr(function)} {exc}') from exc


def _store(value: Any) -> Any:
    if value is None or value == '':
        raise ValueError('it is empty; write the URL of a database, as in sqlite:///%(here)s/cron.sqlite')
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isprintable():
        raise ValueError('it has to be a text of 1 to 100 printable characters')
    return value


def _attribute(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier():
        raise ValueError('it has to be the name of an attribute of the request, such as dbsession')
    return value


def _boolean(value: Any) -> bool:
    if str(value).strip().lower() not in (*truthy, *falsey):
        raise ValueError('it has to be true or false')
    return bool(asbool(value))


def _warn_or_fail(value: Any) -> str:
    if value not in ('warn', 'fail'):
        raise ValueError('it has to be warn or fail')
    return str(value)


def _one_or_each(value: Any) -> str:
    if value not in ('one', 'each'):
        raise ValueError('it has to be one (request for all tasks of a tick) or each (task with a request of its own)')
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError('it has to be a text that is not empty')
    return value.strip()


def _dotted_name(value: Any) -> Any:
    # not resolved here: the module may import the application that is being configured
    return _text(value) if value is None or isinstance(value, str) else value


def _bytes(value: Any) -> int:
    found = SIZE.fullmatch(str(value).strip())
    size = int(found[1]) * (KILO if found[2] else 1) if found and not isinstance(value, bool) else -1
    if size and not SHORTEST_LOG <= size <= LONGEST_LOG:
        raise ValueError(f'it has to be 0, or a size from {SHORTEST_LOG} bytes to {LONGEST_LOG // KILO}k, such as 16k')
    return size


# the default of each, as in an ini file, and its converter, which raises ValueError
TABLE: dict[str, tuple[str | None, Callable[[Any], Any]]] = {
    'path': ('/cron', fixed_path),
    'method': ('GET', _method),
    'allowed_ips': ('127.0.0.1 ::1', _networks),
    'secret': (None, _secret),
    'peer_check': ('true', _boolean),
    'monitor_secret': (None, _secret),
    'monitor_ips': (None, _networks),
    'window': ('60', _seconds),
    'timezone': (None, clock.parse_zone),
    'schedules': ('', ScheduleOverrides.parse),
    'transaction': (None, _wrapper),
    'requests': ('one', _one_or_each),
    'url': (None, BaseURL.parse),
    'environment': (None, _name),
    'log_url': (None, LogURL.parse),
    'store': (None, _store),
    'app': (None, _name),
    'session': (None, _attribute),
    'catch_up': ('300', parse_catch_up),
    'lease': ('90', _seconds),
    'keep_history': ('30', _days),
    'keep_log': ('16k', _bytes),
    'create_tables': ('true', _boolean),
    'watch': ('true', _boolean),
    'unregistered': ('warn', _warn_or_fail),
    'scrub': (None, _scrub),
    'keep_parameters': ('false', _boolean),
    'via': (None, _dotted_name),
    'celery': (None, _dotted_name),
    'config_uri': (None, _text),
    'healthchecks': (None, _text),
    'healthchecks_tasks': ('', TaskLines.parse),
    'healthchecks_timeout': ('5', _seconds),
    'sentry_monitors': ('', TaskLines.parse),
}


# not a named tuple: tools that record errors show its items
@dataclass(frozen=True)
class Settings:
    """The settings of an application, converted: the attribute ``window`` is the setting ``cron.window``, and so on.

    :doc:`/settings` has the meaning of each. A setting without a default is ``None`` if it is not set.

    :param path: as it is written.
    :param method: ``'GET'`` or ``'POST'``.
    :param allowed_ips: networks; ``None`` for any address, if ``cron.secret`` is set and ``cron.allowed_ips`` is not.
    :param secret: encoded in UTF-8.
    :param peer_check: ``True`` or ``False``.
    :param monitor_secret: encoded in UTF-8.
    :param monitor_ips: networks.
    :param window: seconds.
    :param timezone: a :class:`zoneinfo.ZoneInfo`.
    :param schedules: the lines, parsed.
    :param transaction: a callable that takes ``system`` and returns a context manager.
    :param requests: ``'one'`` or ``'each'``.
    :param url: parsed.
    :param environment: as it is written.
    :param log_url: parsed.
    :param store: a URL, an engine of SQLAlchemy, a function ``(registry) -> Engine``, or the dotted name of one.
    :param app: as it is written; the store and queues use the name of the package in place of ``None``.
    :param session: as it is written.
    :param catch_up: a :class:`~datetime.timedelta`.
    :param lease: seconds.
    :param keep_history: a :class:`~datetime.timedelta`.
    :param keep_log: bytes.
    :param create_tables: ``True`` or ``False``.
    :param watch: ``True`` or ``False``.
    :param unregistered: ``'warn'`` or ``'fail'``.
    :param scrub: a callable that takes a text and returns it without what is not to be kept.
    :param keep_parameters: ``True`` or ``False``.
    :param via: the name of an engine with its options, a callable, or the dotted name of one.
    :param celery: an application of Celery, or the dotted name of one.
    :param config_uri: as it is written.
    :param healthchecks: as it is written.
    :param healthchecks_tasks: the lines, parsed.
    :param healthchecks_timeout: seconds.
    :param sentry_monitors: the lines, parsed.
    """

    path: str
    method: str
    allowed_ips: tuple[Network, ...] | None
    secret: bytes | None = field(repr=False)
    peer_check: bool
    monitor_secret: bytes | None = field(repr=False)
    monitor_ips: tuple[Network, ...] | None
    window: float
    timezone: ZoneInfo | None
    schedules: ScheduleOverrides
    transaction: Wrapper | None
    requests: str
    url: BaseURL | None
    environment: str | None
    log_url: LogURL | None
    store: Any = field(repr=False)
    app: str | None
    session: str | None
    catch_up: timedelta
    lease: float
    keep_history: timedelta
    keep_log: int
    create_tables: bool
    watch: bool
    unregistered: str
    scrub: Callable[[str], str] | None
    keep_parameters: bool
    via: Any
    celery: Any
    config_uri: str | None
    healthchecks: str | None = field(repr=False)
    healthchecks_tasks: TaskLines = field(repr=False)
    healthchecks_timeout: float
    sentry_monitors: TaskLines

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Settings:
        """Convert the settings of an application.

        :param settings: a mapping such as ``config.get_settings()``; keys other than ``cron.*`` are left out.
        :raises pyramid.exceptions.ConfigurationError: for a bad value, naming the setting.
        """
        values: dict[str, Any] = {}
        for name, (default, convert) in TABLE.items():
            key = PREFIX + name
            value = settings.get(key, default)
            if value is None and key not in settings:
                values[name] = None
                continue
            try:
                values[name] = convert(value)
            except (OverflowError, TypeError, ValueError) as exc:
                shown = '' if name in SECRETS + OF_SEVERAL_LINES else f' = {value!r}'
                # the exception itself may show a secret; its cause is that of an import
                raise ConfigurationError(f'bad setting {key}{shown}: {exc}') from exc.__cause__
        if values['secret'] is not None:
            if values['secret'] == values['monitor_secret']:
                raise ConfigurationError(
                    f'cron.monitor_secret is the same as cron.secret, and would run tasks; {MAKE_SECRET}'
                )
            if PREFIX + 'allowed_ips' not in settings:
                values['allowed_ips'] = None
        return cls(**values)


def app_name(settings: Settings, registry: Any) -> str:
    """Return the name of an application in the store and in queues: ``cron.app``, or the name of its package."""
    name: str = settings.app or registry.package_name
    return name
