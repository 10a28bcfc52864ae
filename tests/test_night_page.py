"""The page "The night at a glance": what its example shows."""

from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.store.schema import tasks
from tests.support.clock import set_clock
from tests.support.filling import fill, record, record_silence

PAGE = Path(__file__).parents[1] / 'docs' / 'night.rst'
NOW = datetime(2026, 12, 1, 22, 20, 30, tzinfo=timezone.utc)
TASKS = {'shop.invoices': '0 2 * * *', 'shop.backup': '0 2 * * *', 'shop.report': '10 2 * * *'}
TASKS |= {'shop.import': '15 23 * * *', 'shop.rates': '5 * * * *', 'shop.sync': '*/5 * * * *'}
USUAL = {'shop.invoices': '160 170 190', 'shop.backup': '720 840 960', 'shop.report': '90 240'}
USUAL |= {'shop.import': '300 320 360 390', 'shop.rates': '1.2 1.3 1.5'}
APP = """
from pyramid.config import Configurator

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name, line in TASKS.items():
            config.add_cron_task(print, cron=line, name=name)
        return config.make_wsgi_app()
"""
INI = """
[app:main]
use = call:{module}:main
cron.timezone = Europe/Berlin
cron.app = shop
cron.store = sqlite:///{folder}/cron.sqlite
"""


class Command(PCronCommand):
    """Runs in the evening of the example."""

    now = staticmethod(lambda: NOW)

    def load(self):
        super().load()
        set_clock(self.registry['cron_store'].database.engine, self.now)


def remember(registry):
    now = NOW.replace(second=0)
    fill(registry, 1, now)
    record(
        registry,
        ('shop.rates', datetime(2026, 12, 1, 19, 5, tzinfo=timezone.utc), {'outcome': 'failed', 'error': 'Timeout'}),
        ('shop.import', now - 5 * MINUTE, {'outcome': 'running'}),
    )
    silence = datetime(2026, 12, 1, 17, 5, tzinfo=timezone.utc)
    record_silence(registry, silence, silence + 24 * MINUTE, 'shop.rates')
    with registry['cron_store'].database.begin() as connection:
        for name, lengths in USUAL.items():
            connection.execute(update(tasks).where(tasks.c.task == name).values(good_seconds=lengths))


def test_the_command_shows_what_the_page_has(write_module, tmp_path, monkeypatch, capsys):
    module = write_module(APP.replace('TASKS', repr(TASKS)))
    ini = tmp_path / 'shop.ini'
    ini.write_text(INI.format(module=module, folder=tmp_path))
    monkeypatch.setenv('COLUMNS', '80')
    first = Command(['pcron', 'list', str(ini)], quiet=True)
    first.run()
    remember(first.registry)
    first.registry['cron_store'].database.engine.dispose()
    command = Command(['pcron', 'timeline', str(ini)])
    assert command.run() == 0
    command.registry['cron_store'].database.engine.dispose()
    shown = capsys.readouterr().out
    page = PAGE.read_text(encoding='utf-8')
    block = page.partition('.. code-block:: text\n\n')[2].partition('\n\nWithout ')[0]
    assert '\n'.join(line.removeprefix('    ') for line in block.splitlines()).strip('\n') == shown.rstrip('\n')
