"""Runs in processes of their own under the harness of queues: these are killed, frozen and never started at random."""

import os
import random
import signal
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pyramid_cron.queues.process import ProcessEngine
from pyramid_cron.store.options import Options

from .application import LEASE, make_app

# how many run at once
AT_MOST = 3
# of the processes that are found, those that are frozen for a while before they are killed or go on
FROZEN = 0.15
# seconds that a process lives at most, of which it takes some to load the application
LIFE = 5.0
# seconds between two looks for processes
INTERVAL = 0.1


class Process:
    """The engine: its workers are the processes of the runs, which :meth:`step` kills.

    A run waits for its process for so many simulated minutes as for a worker of another engine.
    """

    #: seconds of a simulated minute, in which an application can be loaded, and for which a run waits for its process
    minute_seconds, patience = 2.0, 40.0
    #: the folder of the harness
    folder = None

    def __init__(self):
        self._until, self._frozen = {}, {}
        self._looked = 0.0
        #: how many were killed, frozen, and seen at all
        self.kills = self.frozen = self.seen = 0

    def settings(self, messages):
        start = ProcessEngine.__call__

        def lose(engine, handover):
            # as a process that dies at once
            if not messages.is_lost(handover.key):
                start(engine, handover)

        ProcessEngine.__call__ = lose
        return {'via': f'process:at_most={AT_MOST}', 'config_uri': str(self.ini)}

    def prepare(self, url):
        values = {'use': 'call:tests.kills.own_process:main', 'url': url, 'folder': self.folder}
        lines = [f'{name} = {value}'.replace('%', '%%') for name, value in values.items()]
        self.ini.write_text('\n'.join(['[app:main]', *lines, '']))

    @contextmanager
    def outage(self, server):
        # of the store; SQLite has no server
        if server is not None:
            server.kill()
        yield
        if server is not None:
            server.start_again()

    @property
    def ini(self):
        return self.folder / 'kills.ini'

    def step(self, chance, lethal=True):
        """Kill or freeze the processes whose time has come."""
        now = time.monotonic()
        if now - self._looked < INTERVAL:
            return
        self._looked = now
        living = self._find()
        for pid in living:
            if pid not in self._until:
                self.seen += 1
                self._until[pid] = now + chance.uniform(0.1, LIFE)
            if pid in self._frozen:
                if now > self._frozen[pid]:
                    del self._frozen[pid]
                    _send(pid, chance.choice([signal.SIGKILL, signal.SIGCONT]) if lethal else signal.SIGCONT)
            elif lethal and now > self._until[pid]:
                if chance.random() < FROZEN:
                    self.frozen += 1
                    self._frozen[pid], self._until[pid] = now + 3 * LEASE, now + 3 * LEASE + LIFE
                    _send(pid, signal.SIGSTOP)
                else:
                    self.kills += _send(pid, signal.SIGKILL)

    def end(self):
        """Kill what is left, which does not count."""
        for pid in self._find():
            _send(pid, signal.SIGKILL)

    def _find(self):
        """Return the processes of runs of this harness."""
        wanted, found = f'\0perform\0{self.ini}\0'.encode(), []
        for entry in Path('/proc').iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / 'cmdline').read_bytes()
                except OSError:
                    continue
                # not the script that starts it, which has the same words
                if wanted in words and b'detach.py' not in words:
                    found.append(int(entry.name))
        return found


def _send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def main(global_config, **settings):
    """Return the application of a run's process."""
    Options.queue_timeout = lambda options, task: timedelta(seconds=Process.patience)
    options = {'catch_up': str(10 * 365 * 86400), 'keep_history': '300', 'via': f'process:at_most={AT_MOST}'}
    folder = Path(settings['folder'])
    app, _ = make_app(
        settings['url'], folder, True, random.randrange(10**9), config_uri=global_config['__file__'], **options
    )
    return app
