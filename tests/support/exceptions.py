"""Exceptions that cannot be shown."""


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
