"""The tasks: each writes a line to the log and to a journal, so that you can see that it ran."""

import logging
from datetime import datetime
from pathlib import Path

log = logging.getLogger(__name__)


def send_mail(system):
    write(system, 'sent the mail of the last minute')


def purge_sessions(system):
    write(system, 'purged the sessions of yesterday')


def write_report(system):
    write(system, 'wrote the report of the week')


def warm_cache(system):
    write(system, f'warmed the cache while idle, {system["time_left"]():.0f} seconds left')


def compact_database(system):
    write(system, 'compacted the database while idle')


def write(system, text):
    log.info(text)
    journal = Path(system['registry'].settings['demo.journal'])
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open('a', encoding='utf-8') as lines:
        lines.write(f'{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n')
