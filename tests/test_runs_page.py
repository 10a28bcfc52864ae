"""The claims of ``docs/runs.rst``: addresses, the names in ``cron.log_url``, and numbers."""

import re
from datetime import datetime, timezone
from pathlib import Path

from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.history_entries import PastRun
from pyramid_cron.log_url import NAMES, log_address
from pyramid_cron.run_addresses import run_address
from pyramid_cron.settings import Settings
from pyramid_cron.store.history_pages import MOST_READ

PAGE = (Path(__file__).parent.parent / 'docs' / 'runs.rst').read_text(encoding='utf-8')
ADDRESS, LOG_ADDRESS = (line.strip() for line in PAGE.splitlines() if line.startswith('    https://'))
MINUTE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
RUN = PastRun(
    **dict.fromkeys(PastRun._fields)
    | {'task': 'shop.invoices', 'outcome': 'ok', 'attempt': 1, 'scheduled_for': MINUTE, 'host': 'web-1'}
    | {'id': ADDRESS[-32:], 'started': MINUTE, 'finished': MINUTE}
)


def test_the_address_is_that_of_the_run():
    with Configurator(settings={'cron.url': 'https://shop.example'}) as config:
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.add_cron_status('/admin/cron', permission=NO_PERMISSION_REQUIRED)
    assert run_address(config.registry, 'shop', RUN) == ADDRESS


def test_the_address_in_the_log_system_is_that_of_the_setting():
    setting = re.search(r'cron\.log_url = (.*)', PAGE)[1]
    assert log_address(Settings.parse({'cron.log_url': setting}), 'shop', RUN, MINUTE) == LOG_ADDRESS


def test_the_table_has_all_names():
    table = PAGE.partition('Its value\n')[2].partition('\n\n')[0]
    assert sorted(re.findall(r'``\{(\w+)\}``', table)) == sorted(NAMES)


def test_the_number_of_runs_that_a_page_looks_at_is_right():
    assert f'the {MOST_READ:,} runs that it looks at' in PAGE
