"""The Pyramid application that has the tasks: loaded from a file or a function, or found in a WSGI application."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

from pyramid.config import global_registries
from pyramid.exceptions import ConfigurationError
from pyramid.registry import Registry
from pyramid.router import Router
from pyramid.scripts.common import get_config_loader

from pyramid_cron.errors import CronError
from pyramid_cron.printable import class_name, message

# the kinds of sections that PasteDeploy makes one application of
KINDS = ('app', 'application', 'pipeline', 'filter-app')
COMPOSITES = ('composite', 'composit')


class NotLoaded(CronError):
    """There is no application, or not exactly one that includes pyramid_cron."""


class Loaded(NamedTuple):
    """A loaded application.

    :param app: the WSGI application, with its filters and mounts.
    :param registry: the registry of the Pyramid application that has the tasks.
    :param remedy: what to do if another application answers; empty if there is no other.
    """

    app: Any
    registry: Any
    remedy: str = ''


def load_file(uri: str, variables: Mapping[str, str] | None = None, loader: Any = None) -> Loaded:
    """Load the application of a configuration file, such as ``app.ini`` or ``app.ini#name``.

    :param uri: the file, and the name of a section if it is not ``main``.
    :param variables: variables of the file.
    :param loader: the loader that plaster has found for the file, if it is there already.
    :raises NotLoaded: if it has no section of that name, if the application cannot be made, or if not exactly one of
        the applications that it is made of includes pyramid_cron.
    """
    if loader is None:
        loader = get_config_loader(uri)
    file, _, name = uri.partition('#')
    sections = loader.get_sections()
    applications = _names(sections, KINDS + COMPOSITES)
    if name and sections and name not in applications:
        raise NotLoaded(f'{file} has no application {name!r}; it has {", ".join(applications)}')
    others = [known for known in _names(sections, KINDS) if known != (name or 'main')]
    app, registries = _make(lambda: _get_app(loader, uri, variables or {}))
    if isinstance(app, Router):
        others = []
    if not registries:
        raise NotLoaded(f"the application of {uri} does not include pyramid_cron: add config.include('pyramid_cron')")
    example = f'as in {file}#{others[0] if others else "name"}'
    known = f'; {file} has {", ".join(others)}' if others else ''
    if len(registries) > 1:
        raise NotLoaded(
            f'the application of {uri} is made of {len(registries)} that include pyramid_cron: '
            f'name the section of one of them, {example}{known}'
        )
    remedy = f'; if that was another application than the one with the tasks, name its section, {example}{known}'
    return Loaded(app, registries[0], remedy if others else '')


def load_from(function: Callable[[], Any]) -> Loaded:
    """Load the application that a function returns, which may have made it before.

    :raises NotLoaded: if not exactly one of the applications that it is made of includes pyramid_cron.
    """
    app, registries = _make(function)
    return Loaded(app, _the_one(app, registries))


def registry_of(app: Any) -> Any:
    """Return the registry of the Pyramid application that has the tasks, in a WSGI application that may wrap it.

    :raises NotLoaded: if not exactly one is found that includes pyramid_cron.
    """
    return _the_one(app, _registries_in(app))


def _the_one(app: Any, registries: list[Any]) -> Any:
    if len(registries) == 1:
        return registries[0]
    found = f'{len(registries)} applications of Pyramid that include' if registries else 'no application that includes'
    raise NotLoaded(
        f'{found} pyramid_cron can be found in the WSGI application, a {type(app).__name__}: '
        'pass the one with the tasks, or set the attribute registry of what wraps it'
    )


def _make(load: Callable[[], Any]) -> tuple[Any, list[Any]]:
    """Return a WSGI application, and the registries in it that include pyramid_cron."""
    # strong references: a new registry may take the place in memory of one that is gone
    before = list(global_registries)
    app = load()
    if _own_registry(app) is None:
        made = [registry for registry in global_registries if not any(registry is known for known in before)]
        with_tasks = [registry for registry in made if 'cron_tasks' in registry]
        if with_tasks:
            return app, with_tasks
    return app, _registries_in(app)


def _registries_in(app: Any) -> list[Any]:
    """Return the registries that include pyramid_cron, of the applications that a WSGI application calls.

    Middleware keeps the application that it calls in an attribute or, if it is a function, in its closure.
    """
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        registry = _own_registry(part)
        if registry is None:
            waiting += [inner for inner in _parts(part) if _may_call(inner)]
        elif 'cron_tasks' in registry and not any(registry is known for known in found):
            found.append(registry)
    return found


def _own_registry(app: Any) -> Any:
    """Return the registry of an application of Pyramid, ``None`` for what wraps one and does not have its registry."""
    registry = getattr(app, 'registry', None)
    return registry if isinstance(app, Router) or isinstance(registry, Registry) else None


def _may_call(part: Any) -> bool:
    """Return whether something is an application, or holds some: never a logger, a pool or a module."""
    return isinstance(part, (list, tuple, dict)) or (callable(part) and not isinstance(part, type))


def _parts(part: Any) -> Iterator[Any]:
    if isinstance(part, (list, tuple)):
        yield from part
    elif isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, functools.partial):
        yield from (part.func, part.args, part.keywords)
    elif isinstance(part, types.MethodType):
        yield part.__self__
    else:
        yield from _cells(getattr(part, '__closure__', None) or ())
        yield from getattr(part, '__dict__', {}).values()


def _cells(closure: Iterable[types.CellType]) -> Iterator[Any]:
    for cell in closure:
        try:
            yield cell.cell_contents
        except ValueError:
            # not assigned yet
            continue


def _get_app(loader: Any, uri: str, variables: Mapping[str, str]) -> Any:
    try:
        return loader.get_wsgi_app(None, variables)
    except (ConfigurationError, ImportError) as exc:
        problem = f'{class_name(exc)}: {message(exc)}'
        if isinstance(exc, ModuleNotFoundError) and _is_here(exc.name):
            problem += '; it is in this folder and not installed: install its package, or set PYTHONPATH=.'
    except (LookupError, AttributeError) as exc:
        # an error that the application raises is a mistake in it, and needs its traceback
        if not _raised_by_loader(exc):
            raise
        problem = message(exc)
    raise NotLoaded(f'the application of {uri} cannot be made: {problem}')


def _is_here(module: str | None) -> bool:
    """Return whether the folder in which the process runs has a module, from which Python does not import."""
    return bool(module) and (Path(f'{module}.py').is_file() or Path(str(module), '__init__.py').is_file())


def _raised_by_loader(exc: BaseException) -> bool:
    *_, (frame, _) = walk_tb(exc.__traceback__)
    return str(frame.f_globals.get('__name__')).startswith('paste.')


def _names(sections: list[str], kinds: tuple[str, ...]) -> list[str]:
    pairs = [section.partition(':') for section in sections]
    return [name.strip() for kind, _, name in pairs if kind in kinds]
