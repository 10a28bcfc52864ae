"""The processes of servers, as the harness sees them."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

# seconds until the harness gives up
PATIENCE = 120.0


class Server:
    """A process of server.py.

    :param options: its options, see there.
    """

    def __init__(self, options):
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'tests.faults.server', json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        # the slow tasks and their minutes, by the minutes of the ticks that run them
        self._busy = {}
        self._wait_for('ready')

    def _read(self):
        for line in self._process.stdout:
            self._answers.put(json.loads(line))

    @property
    def is_alive(self):
        return self._process.poll() is None

    @property
    def is_frozen(self):
        return self.is_alive and self._state() == 'T'

    def _state(self):
        return Path(f'/proc/{self._process.pid}/stat').read_text().rpartition(')')[2].split()[0]

    @property
    def in_progress(self):
        """The slow tasks, and their minutes, that it is about to end."""
        return set(self._busy.values()) if self.answers else set()

    @property
    def answers(self):
        """Whether it can answer."""
        return self.is_alive and not self.is_frozen

    def order(self, name, **values):
        if self.is_alive:
            try:
                self._process.stdin.write(json.dumps({'order': name, **values}) + '\n')
                self._process.stdin.flush()
            except BrokenPipeError:
                # it has ended meanwhile
                pass

    def tick(self, minute):
        self.order('tick', minute=minute)

    def wait_for_tick(self, minute):
        """Return the answer of a tick, ``None`` if a task makes it last longer, or if the process does not answer."""
        return self._wait_for('tick', minute)

    def health(self):
        """Return the health as the process reports it, ``None`` if the process does not answer."""
        self.order('health')
        found = self._wait_for('health')
        return None if found is None else json.loads(found['health'])

    def _wait_for(self, key, value=None):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self._answers.get(timeout=0.02)
            except queue.Empty:
                if not self.answers and self._answers.empty():
                    return None
                if time.monotonic() > deadline:
                    raise TimeoutError(f'no answer to {key} {value}') from None
                continue
            if 'busy' in answer:
                self._busy[answer['of']] = answer['busy'], answer['minute']
                if key == 'tick':
                    return None
            elif 'tick' in answer and answer['tick'] != value:
                # of one that lasted longer
                self._busy.pop(answer['tick'], None)
            elif key in answer:
                return answer

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._busy.clear()
