"""Every ``cron.*`` setting: its name, its default and how its text becomes a value."""

from __future__ import annotations

import inspect
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from pyramid.settings import asbool, aslist, falsey, truthy

from pyramid_cron import callables
from pyramid_cron.access.rules import Network, parse_network
from pyramid_cron.external_url import BaseURL
from pyramid_cron.schedules.clock import parse_zone
from pyramid_cron.tasks import dotted_path, parse_catch_up
from pyramid_cron.transactions import Wrapper

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

log = logging.getLogger(__name__)

PREFIX = 'cron.'
SHORTEST_SECRET = 16

# those that the trigger accepts
METHODS = ('GET', 'POST')

# what no message and no repr shows
SECRETS = ('secret', 'store')
MAKE_SECRET = 'python3 -c "import secrets; print(secrets.token_urlsafe())" makes one'


def fixed_path(value: Any) -> str:
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
    listed = [item.split(',') if isinstance(item, str) else [item] for item in aslist(value)]
    networks = tuple(parse_network(item) for items in listed for item in items if item != '')
    if not networks:
        raise ValueError('it is empty, so that nobody could trigger a run')
    return networks


def _secret(value: Any) -> bytes:
    if value is None or value == '':
        raise ValueError(f'it is empty, perhaps because an environment variable is not set; {MAKE_SECRET}')
    if not isinstance(value, str) or len(value) < SHORTEST_SECRET:
        raise ValueError(f'it has to be a text of {SHORTEST_SECRET} characters or more; {MAKE_SECRET}')
    if value != value.strip() or not value.isprintable():
        raise ValueError('no header can carry white space around it or characters that are not printable')
    return value.encode()


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError('it has to be a number of seconds above 0')
    return float(value)


def _wrapper(value: Any) -> Wrapper:
    # what an import raised is the cause of the error
    wrapper: Wrapper = callables.resolve(value)
    if inspect.isgeneratorfunction(wrapper):
        raise ValueError('it is a generator function; write @contextlib.contextmanager above it')
    try:
        callables.check(wrapper, class_too=True)
    except ValueError as exc:
        raise ValueError(f'{dotted_path(wrapper) if callable(wrapper) else repr(wrapper)} {exc}') from exc
    return wrapper


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


def _truth(value: Any) -> bool:
    if str(value).strip().lower() not in (*truthy, *falsey):
        raise ValueError('it has to be true or false')
    return bool(asbool(value))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError('it has to be a text that is not empty')
    return value.strip()


def _named(value: Any) -> Any:
    # what a name stands for is looked up later: it may need the application
    return _text(value) if value is None or isinstance(value, str) else value


def _method(value: Any) -> str:
    if not isinstance(value, str) or value.upper() not in METHODS:
        raise ValueError('it has to be GET or POST')
    return value.upper()


def _days(value: Any) -> timedelta:
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError('it has to be a number of days above 0')
    return timedelta(days=float(value))


# each with its default and what makes a value of a text
TABLE: dict[str, tuple[str | None, Callable[[Any], Any]]] = {
    'path': ('/cron', fixed_path),
    'allowed_ips': ('127.0.0.1 ::1', _networks),
    'secret': (None, _secret),
    'window': ('60', _seconds),
    'timezone': (None, parse_zone),
    'transaction': (None, _wrapper),
    'url': (None, BaseURL.parse),
    'method': ('GET', _method),
    'store': (None, _store),
    'app': (None, _name),
    'session': (None, _attribute),
    'catch_up': ('300', parse_catch_up),
    'lease': ('90', _seconds),
    'keep_history': ('30', _days),
    'create_tables': ('true', _truth),
    'via': (None, _named),
    'celery': (None, _named),
    'config_uri': (None, _text),
}


# no named tuple, of which tools that record errors show the items
@dataclass(frozen=True)
class Settings:
    """The settings as values: the attribute ``window`` is the setting ``cron.window``, and so on.

    :param path: the path of the trigger.
    :param allowed_ips: networks from which a run may be triggered; ``None`` (with a secret, if the setting is left out)
        for any.
    :param secret: what the request has to carry, in UTF-8; ``None`` if addresses decide.
    :param window: seconds from the start of a run that ``time_left()`` counts down from.
    :param timezone: the time zone of schedules; ``None`` for the machine's local time.
    :param transaction: what makes of a task's ``system`` the context manager that the task runs in; ``None`` for the
        transactions of pyramid_tm.
    :param url: where tasks find the application from outside; ``None`` for where the trigger found it.
    :param method: the method of the requests by which the process itself makes a run.
    :param store: a URL, an engine, a function ``(registry) -> Engine``, or the dotted name of one; ``None`` for none.
    :param app: the name of the application in the store; ``None`` for that of its package.
    :param session: the attribute of the request that holds the session in which runs commit with their record.
    :param catch_up: how long after a minute that was missed a task still runs for it.
    :param lease: seconds after which a process that says nothing is taken for dead.
    :param keep_history: how long the history of runs is kept.
    :param create_tables: whether the store makes its tables on first use.
    :param via: what tasks are handed over to that do not say so themselves and are not idle; ``None`` for nothing.
    :param celery: the Celery application that tasks are handed over to.
    :param config_uri: the configuration file of this application, for the command of a task that is handed over.
    """

    path: str
    allowed_ips: tuple[Network, ...] | None
    secret: bytes | None = field(repr=False)
    window: float
    timezone: ZoneInfo | None
    transaction: Wrapper | None
    url: BaseURL | None
    method: str
    store: Any = field(repr=False)
    app: str | None
    session: str | None
    catch_up: timedelta
    lease: float
    keep_history: timedelta
    create_tables: bool
    via: Any
    celery: Any
    config_uri: str | None

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Settings:
        """Return the values of an application's settings.

        :param settings: a mapping such as ``config.get_settings()``; keys other than ``cron.*`` do not matter.
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
                shown = '' if name in SECRETS else f' = {value!r}'
                raise ConfigurationError(f'bad setting {key}{shown}: {exc}') from exc.__cause__
        if values['secret'] is not None and PREFIX + 'allowed_ips' not in settings:
            values['allowed_ips'] = None
        return cls(**values)


def app_name(settings: Settings, registry: Any) -> str:
    """Return what an application is called in the store and in queues: its package, unless ``cron.app`` is set."""
    name: str = settings.app or registry.package_name
    return name


def warn_of_misspelt(settings: Mapping[str, Any]) -> None:
    """Warn of keys that begin like a setting and are none."""
    for key in settings:
        name = str(key).removeprefix(PREFIX)
        if str(key).startswith(PREFIX) and name not in TABLE:
            # seldom needed, and slow to import
            import difflib

            near = difflib.get_close_matches(name.lower().replace('-', '_'), TABLE, n=1, cutoff=0.8)
            hint = f'is {PREFIX}{near[0]} meant?' if near else f'there are {", ".join(PREFIX + name for name in TABLE)}'
            warnings.warn(f'{key} is not a setting of pyramid_cron; {hint}', UserWarning, stacklevel=2)


def warn_of_lacking_store(registry: Any) -> None:
    """Say which tasks ask for what only a store can do, if there is none."""
    if registry['cron_settings'].store is None:
        # who takes over a task asks for its catch_up as well
        asking = [
            task.name for task in registry['cron_tasks'] if task.retries or (task.catch_up and task.engine is None)
        ]
        if asking:
            log.warning('retries= and catch_up= do nothing until cron.store is set; tasks: %s', ', '.join(asking))
