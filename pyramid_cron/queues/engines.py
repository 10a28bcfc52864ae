"""From what a task is to be handed over to, as it is named, to what does so."""

from __future__ import annotations

import importlib
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_cron import callables
from pyramid_cron.queues.handover import Sending
from pyramid_cron.settings import app_name
from pyramid_cron.tasks import dotted_path

# each a module beside this one, and an extra of the same name
ENGINES = ('celery', 'procrastinate')


def hand_over(registry: Any) -> None:
    """Let each task that is to be handed over have what does so.

    :raises pyramid.exceptions.ConfigurationError: if there is no such engine, or it is not installed.
    """
    # one for all tasks that name it alike
    named: dict[str, Sending] = {}
    for task in registry['cron_tasks']:
        via = task.via
        if via is None and not task.idle:
            via = registry['cron_settings'].via
        if via is None or via is False:
            continue
        try:
            if isinstance(via, str) and via not in named:
                named[via] = _sending(via, registry)
            sending = named[via] if isinstance(via, str) else _sending(via, registry)
            if sending.within_claim and not task.store:
                raise ValueError('store=False leaves the task out of the store, which it is to be handed over with')
        except ValueError as exc:
            raise ConfigurationError(f'cron task {task.name}, via={via!r}: {exc}') from exc
        task.engine = sending


def _sending(via: Any, registry: Any) -> Sending:
    settings = registry['cron_settings']
    engine, _, options = via.partition(':') if isinstance(via, str) else ('', '', '')
    within_claim = False
    if engine in ENGINES:
        module = _engine(engine)
        send = module.make_send(_options(options, module.OPTIONS), registry)
        within_claim = module.WITHIN_CLAIM
    else:
        if isinstance(via, str) and '.' not in via:
            raise ValueError(f'there is no such engine: there are {" and ".join(ENGINES)}, or name a function')
        send = callables.resolve(via)
        callables.check(send, argument='handover')
    shown = via if isinstance(via, str) else dotted_path(via)
    return Sending(send, shown, app_name(settings, registry), settings.catch_up, settings.config_uri, within_claim)


def _engine(name: str) -> Any:
    try:
        return importlib.import_module(f'pyramid_cron.queues.{name}')
    except ImportError as exc:
        raise ValueError(f"{exc}; run: pip install 'pyramid_cron[{name}]'") from exc


def _options(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an engine, written as in ``queue=slow,priority=5``."""
    options = {}
    for part in filter(None, text.split(',')):
        name, _, value = part.partition('=')
        if name not in known or not value:
            raise ValueError(f'{part!r} is no option: there are {", ".join(f"{name}=…" for name in known)}')
        options[name] = known[name](value)
    return options
