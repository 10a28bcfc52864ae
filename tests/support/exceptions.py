"""Exceptions that cannot be shown, and all that another one shows."""

import traceback


class Refusing(type):
    """A metaclass that refuses the names of its classes."""

    def __getattribute__(cls, name):
        if name in ('__name__', '__qualname__', '__module__'):
            raise LookupError(name)
        return super().__getattribute__(name)


class Refused(Exception, metaclass=Refusing):
    """An exception that refuses its message and the names of its class."""

    def __str__(self):
        raise LookupError('no text')


def raised(function):
    """Return all that the exception of a function shows, with those that it was raised from, but for lines of code."""
    shown, exc = [], None
    try:
        function()
    except Exception as raised:
        exc = raised
    while exc is not None and len(shown) < 100:
        shown += [repr(exc), *traceback.format_exception_only(exc)]
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return ''.join(shown).lower()
