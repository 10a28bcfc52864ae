"""The tasks: each writes a line to the log and to a journal, so that you can see that it ran."""

import logging
from datetime import datetime
from pathlib import Path

log = logging.getLogger(__name__)


def send_mail(system):
    """Send what waits to be mailed."""
    write(system, 'sent the mail of the last minute')


def purge_sessions(system):
    """Forget the sessions that were not used for a day."""
    write(system, 'purged the sessions of yesterday')


def write_report(system):
    """Mail the figures of the week."""
    write(system, 'wrote the report of the week')


def fetch_prices(system):
    """Fetch the prices of the suppliers."""
    write(system, 'fetched the prices')


def import_orders(system):
    """Import the orders of the shop."""
    write(system, 'imported the orders')


def make_index(system):
    """Bring the index of the search up to date."""
    write(system, 'made the index of the search')


def back_up(system):
    """Copy the database."""
    write(system, 'backed up the database')


def warm_cache(system):
    """Compute the pages that are read most."""
    write(system, f'warmed the cache while idle, {system["time_left"]():.0f} seconds left')


def compact_database(system):
    """Give the space of deleted rows back."""
    write(system, 'compacted the database while idle')


def write(system, text):
    log.info(text)
    journal = Path(system['registry'].settings['demo.journal'])
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open('a', encoding='utf-8') as lines:
        lines.write(f'{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n')
