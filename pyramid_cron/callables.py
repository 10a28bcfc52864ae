"""Callables that an application names: import by dotted name, and checks that one argument can be passed."""

from __future__ import annotations

import contextlib
import functools
import inspect
import pkgutil
import types
from collections.abc import Collection
from typing import Any

from pyramid.path import DottedNameResolver

# a call of such a function returns an object that nothing starts
UNSTARTED = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def resolve(name: object, package: types.ModuleType | None = None) -> Any:
    """Return the object of a dotted name, imported if need be; return anything but a text unchanged.

    :param name: a dotted name such as ``'myapp.tasks.purge'``, ``'myapp.tasks:purge'`` or, relative to ``package``,
        ``'.tasks.purge'``.
    :param package: the package that relative names are relative to.
    :raises ValueError: if the name does not resolve, with the reason and a similar name.
    """
    try:
        return DottedNameResolver(package).maybe_resolve(name)
    except Exception as exc:
        # an import can raise anything
        why = _explain_missing(str(name), package) or f'{type(exc).__name__}: {exc}'
        raise ValueError(why) from exc


def dotted_path(f: object) -> str:
    """Return the module and qualified name of ``f``, or of its class if ``f`` has no name of its own."""
    while isinstance(f, functools.partial):
        f = f.func
    named: Any = f if hasattr(f, '__qualname__') else type(f)
    # a method of a built-in type has no module of its own
    module = getattr(named, '__module__', None) or type(getattr(named, '__self__', named)).__module__
    return f'{module}.{named.__qualname__}'


def check(function: Any, *, class_too: bool = False, argument: str = 'system') -> None:
    """Refuse an object that cannot be called with one argument, and a function that does nothing when it is called.

    :param class_too: accept a class, where its instance is of use.
    :param argument: the name of the argument, for the message.
    :raises ValueError: with the reason and what to write instead, in words that follow the name of ``function``.
    """
    if not callable(function):
        looks = 'it looks like what a call returned' if function is None else f'it is of type {type(function).__name__}'
        raise ValueError(f'is not callable: {looks}; pass a function, without parentheses: purge and not purge()')
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if isinstance(inner, type) and not class_too:
        raise ValueError(
            'is a class: calling it makes an instance and nothing more; pass an instance that can be called, '
            'or a method of one'
        )
    if any(is_unstarted(f) for is_unstarted in UNSTARTED for f in (inner, type(inner).__call__)):
        raise ValueError(
            'is a coroutine or generator function: calling it runs nothing; '
            'register a plain function that calls asyncio.run() or loops over it'
        )
    # a proxy, or a wrapper of another type, may show the signature of its inner function and call that differently
    if hasattr(inner, '__wrapped__') and type(inner) not in (types.FunctionType, types.MethodType):
        return
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except ValueError:
        # some built-in functions have no signature
        return
    try:
        signature.bind({})
    except TypeError as exc:
        unbound = next(iter(signature.parameters), '') == 'self'
        hint = '; pass the method of an instance and not that of the class' if unbound else ''
        raise ValueError(f'does not take one argument, {argument}: {exc}{hint}') from exc


def _explain_missing(name: str, package: types.ModuleType | None) -> str | None:
    """Return which part of a dotted name is missing, with a similar name; ``None`` if no part is missing."""
    if not name:
        return 'it is empty'
    if '(' in name:
        return 'write the name without parentheses: it names a function, and does not call it'
    path = name.replace(':', '.')
    parts = path.lstrip('.').split('.')
    dots = len(path) - len(path.lstrip('.'))
    if dots:
        if package is None:
            return 'a relative name cannot be resolved here, without a package; write the whole name'
        above = package.__name__.split('.')
        if dots > len(above):
            return f'it begins with more dots than the name of {package.__name__} has parts'
        parts = [*above[: len(above) - dots + 1], *parts]
    for end in range(len(parts) - 1, 0, -1):
        found, missing = '.'.join(parts[:end]), parts[end]
        try:
            parent = DottedNameResolver(None).resolve(found)
        except Exception:
            # the error is part of the one that the caller explains
            continue
        modules = [module.name for module in pkgutil.iter_modules(getattr(parent, '__path__', ()))]
        if missing in modules:
            return None
        last = end == len(parts) - 1
        attributes = [other for other in dir(parent) if not last or callable(getattr(parent, other, None))]
        return f'{found} has no {missing!r}{_suggest(missing, [*modules, *attributes])}'
    if package is not None and not dots:
        with contextlib.suppress(Exception):
            DottedNameResolver(package).resolve(f'.{name}')
            return f'there is no module {parts[0]!r}; is {"." + name!r} meant, relative to {package.__name__}?'
    return None


def _suggest(word: str, known: Collection[str]) -> str:
    """Return a question for the known word that is most like ``word``, empty if no word is."""
    # seldom needed, and slow to import
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f'; is {near[0]!r} meant?' if near else ''
