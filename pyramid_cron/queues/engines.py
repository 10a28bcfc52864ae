"""The engine of each task, found by the name or the callable in ``via`` and ``cron.via``."""

from __future__ import annotations

import importlib
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_cron import callables
from pyramid_cron.callables import dotted_path
from pyramid_cron.queues.handover import EngineAdapter
from pyramid_cron.settings import app_name

# each is a module in this package, with what it needs
ENGINES = {
    'celery': "run: pip install 'pyramid_cron[celery]'",
    'procrastinate': "run: pip install 'pyramid_cron[procrastinate]'",
    'process': 'processes of their own need Linux or another Unix',
}


def assign_engines(registry: Any) -> None:
    """Set the engine of each task that has ``via``, or that ``cron.via`` applies to.

    :raises pyramid.exceptions.ConfigurationError: if an engine does not exist or is not installed, an option is
        unknown, or a task cannot be enqueued.
    """
    # tasks with the same text share an engine
    by_text: dict[str, EngineAdapter] = {}
    for task in registry['cron_tasks']:
        via = task.via
        if via is None and not task.idle:
            via = registry['cron_settings'].via
        if via is None or via is False:
            continue
        try:
            if isinstance(via, str) and via not in by_text:
                by_text[via] = _make_engine(via, registry)
            engine = by_text[via] if isinstance(via, str) else _make_engine(via, registry)
            if engine.within_claim and not task.store:
                raise ValueError(
                    f'store=False leaves the task out of the store, and {engine} enqueues a run on the connection of '
                    'the store; leave one of the two out'
                )
            if engine.is_limited and not task.store:
                raise ValueError(
                    f'store=False leaves the task out of the store, and {engine} needs it, to know that a process of '
                    'its own runs; leave one of the two out'
                )
        except ValueError as exc:
            raise ConfigurationError(f'cron task {task.name}, via={via!r}: {exc}') from exc
        task.engine = engine


def _make_engine(via: Any, registry: Any) -> EngineAdapter:
    settings = registry['cron_settings']
    engine, _, options = via.partition(':') if isinstance(via, str) else ('', '', '')
    within_claim, look, admit = False, None, None
    if engine in ENGINES:
        module = _import_engine(engine)
        call = module.make_enqueue(_parse_options(options, module.OPTIONS), registry)
        within_claim = module.WITHIN_CLAIM
        look = getattr(module, 'look', None)
        admit = getattr(call, 'admit', None)
    else:
        if isinstance(via, str) and '.' not in via:
            raise ValueError(f'there is no such engine: there are {", ".join(ENGINES)}, or name a function')
        call = callables.resolve(via)
        callables.check(call, argument='handover')
    return EngineAdapter(
        call,
        name=via if isinstance(via, str) else dotted_path(via),
        app=app_name(settings, registry),
        catch_up=settings.catch_up,
        config_uri=settings.config_uri,
        within_claim=within_claim,
        broker=getattr(call, 'broker', engine if engine in ENGINES else call),
        look=look,
        admit_run=admit,
    )


def _import_engine(name: str) -> Any:
    try:
        return importlib.import_module(f'pyramid_cron.queues.{name}')
    except ImportError as exc:
        raise ValueError(f'{exc}; {ENGINES[name]}') from exc


def _parse_options(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an engine from a text such as ``queue=slow,priority=5``.

    :param known: the names of the options, each with its converter.
    :raises ValueError: for an unknown option and for a bad value.
    """
    options = {}
    for part in filter(None, text.split(',')):
        name, _, value = part.partition('=')
        if name not in known or not value:
            raise ValueError(f'{part!r} is no option: there are {", ".join(f"{name}=…" for name in known)}')
        try:
            options[name] = known[name](value)
        except ValueError as exc:
            raise ValueError(f'{part!r}: {exc}') from exc
    return options
