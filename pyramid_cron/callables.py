"""From what an application names to what can be called with one ``system`` dict, or why that would fail."""

from __future__ import annotations

import contextlib
import functools
import inspect
import pkgutil
import types
from collections.abc import Collection
from typing import Any

from pyramid.path import DottedNameResolver

# what calling a function of these kinds runs is nothing
UNSTARTED = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def resolve(named: object, package: types.ModuleType | None = None) -> Any:
    """Return what a dotted name stands for; anything but a text stands for itself.

    :param named: a dotted name such as ``'myapp.tasks.purge'``, ``'myapp.tasks:purge'`` or, relative to ``package``,
        ``'.tasks.purge'``.
    :param package: the package of whoever names it.
    :raises ValueError: if it does not resolve, saying what may be meant.
    """
    try:
        return DottedNameResolver(package).maybe_resolve(named)
    except Exception as exc:
        # whatever an import raises
        why = _missing(str(named), package) or f'{type(exc).__name__}: {exc}'
        raise ValueError(why) from exc


def check(function: Any, *, class_too: bool = False, argument: str = 'system') -> None:
    """Refuse what cannot be called with one argument, or what would do nothing if it were.

    :param class_too: whether to make an instance of a class is of any use.
    :param argument: the name of the one argument, for the message.
    :raises ValueError: saying what to write instead, in words that follow the name of ``function``.
    """
    if not callable(function):
        looks = 'it looks like what a call returned' if function is None else f'it is of type {type(function).__name__}'
        raise ValueError(f'is not callable: {looks}; give a function, without parentheses: purge and not purge()')
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if isinstance(inner, type) and not class_too:
        raise ValueError(
            'is a class: calling it makes an instance and nothing more; give an instance that can be called, '
            'or a method of one'
        )
    if any(is_unstarted(f) for is_unstarted in UNSTARTED for f in (inner, type(inner).__call__)):
        raise ValueError(
            'is a coroutine or generator function: calling it runs nothing; '
            'register a plain function that calls asyncio.run() or loops over it'
        )
    # a proxy shows the signature of a function that something else calls, and so does what follows __wrapped__
    if hasattr(inner, '__wrapped__') and type(inner) not in (types.FunctionType, types.MethodType):
        return
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except ValueError:
        # that of a built-in is not always known
        return
    try:
        signature.bind({})
    except TypeError as exc:
        unbound = next(iter(signature.parameters), '') == 'self'
        hint = '; give the method of an instance and not that of the class' if unbound else ''
        raise ValueError(f'does not take one argument, {argument}: {exc}{hint}') from exc


def _missing(name: str, package: types.ModuleType | None) -> str | None:
    """Say which part of a dotted name there is not, and what may be meant; ``None`` if it failed for other reasons."""
    if not name:
        return 'it is empty'
    if '(' in name:
        return 'write the name without parentheses: it names a function, and does not call it'
    path = name.replace(':', '.')
    parts = path.lstrip('.').split('.')
    dots = len(path) - len(path.lstrip('.'))
    if dots:
        if package is None:
            return 'a relative name has nothing here that it could be relative to; write the whole name'
        above = package.__name__.split('.')
        if dots > len(above):
            return f'it begins with more dots than the name of {package.__name__} has parts'
        parts = [*above[: len(above) - dots + 1], *parts]
    for end in range(len(parts) - 1, 0, -1):
        found, missing = '.'.join(parts[:end]), parts[end]
        try:
            parent = DottedNameResolver(None).resolve(found)
        except Exception:
            # what it raises is in the error that is explained
            continue
        modules = [module.name for module in pkgutil.iter_modules(getattr(parent, '__path__', ()))]
        if missing in modules:
            return None
        last = end == len(parts) - 1
        attributes = [other for other in dir(parent) if not last or callable(getattr(parent, other, None))]
        return f'{found} has no {missing!r}{_meant(missing, [*modules, *attributes])}'
    if package is not None and not dots:
        with contextlib.suppress(Exception):
            DottedNameResolver(package).resolve(f'.{name}')
            return f'there is no module {parts[0]!r}; is {"." + name!r} meant, relative to {package.__name__}?'
    return None


def _meant(word: str, known: Collection[str]) -> str:
    # seldom needed, and slow to import
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f'; is {near[0]!r} meant?' if near else ''
