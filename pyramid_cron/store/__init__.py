"""Claims and history in a database. Imported only where ``cron.store`` is set."""

from pyramid_cron.store.complete import Fenced
from pyramid_cron.store.schema import metadata
from pyramid_cron.store.session import NotJoined
from pyramid_cron.store.setup import use_store
from pyramid_cron.store.uncommitted import NotCommitted

__all__ = ['Fenced', 'NotCommitted', 'NotJoined', 'metadata', 'use_store']
