"""Accounts and their tokens, the session of a request, and the read-only mode."""

from datetime import datetime

import zope.sqlalchemy
from sqlalchemy import DateTime, ForeignKey, engine_from_config
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

READ_ONLY = 'read-only'


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = 'accounts'

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    reminded: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Token(Base):
    __tablename__ = 'tokens'

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Flag(Base):
    """A switch for administrators."""

    __tablename__ = 'flags'

    name: Mapped[str] = mapped_column(primary_key=True)
    is_on: Mapped[bool]


def make_session(request):
    """Make the session of a request. Its work is not committed in the read-only mode."""
    session = Session(request.registry['engine'])
    zope.sqlalchemy.register(session, transaction_manager=request.tm)
    request.add_finished_callback(lambda request: session.close())
    flag = session.get(Flag, READ_ONLY)
    if flag is not None and flag.is_on:
        request.tm.doom()
    return session


def is_read_only(request):
    """Return whether nothing that the request writes is kept."""
    # the session has to be there before its transaction can be doomed
    return request.db is not None and request.tm.isDoomed()


def includeme(config):
    config.registry['engine'] = engine_from_config(config.registry.settings)
    config.add_request_method(make_session, 'db', reify=True)
    config.add_request_method(is_read_only, 'read_only', reify=True)
