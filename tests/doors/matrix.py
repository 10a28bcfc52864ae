"""One server of the matrix: what stands in front of it, the requests, and the attacks on the look-up of accounts."""

import contextlib
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .accounts import OWN, STRANGER
from .clients import CLIENTS, request, request_alive
from .processes import NotStarted, Processes, free_port, wait_for
from .verdict import Cell

STEERING = [sys.executable, str(Path(__file__).with_name('steering.py'))]
# connections of the server's account, and of the stranger: of some 14,000 ports each of these hits one with 3 %
HELD = 400
# seconds
LONGEST_ATTACK = 120
ATTACKS = ('steer', 'reset', 'both')


class Matrix:
    """The answers of all servers.

    :param fronts: the fronts to try.
    :param settings: the names of the settings to try.
    :param tries: the number of connections of an attack.
    :param control: the name of a protection to take out, or ``None``.
    """

    def __init__(self, folder, fronts, settings, tries, control):
        self.folder, self.fronts, self.settings = folder, fronts, settings
        self._tries, self._control = tries, control
        self.cells = []
        self.ports = {}
        self.attacks = {}
        self.not_started = {}

    def try_server(self, server):
        """Start a server with everything in front of it, and request all that is to be requested."""
        folder = self.folder / server.name
        folder.mkdir()
        folder.chmod(0o777)
        journal = folder / 'journal'
        journal.touch()
        journal.chmod(0o666)
        environ = {'DOORS_SETTINGS': ' '.join(self.settings), 'DOORS_JOURNAL': str(journal)}
        if self._control:
            environ['DOORS_CONTROL'] = self._control
        with Processes(folder) as processes:
            port = free_port()
            try:
                wait_for(processes.start('server', lambda own: server.command(own, port), OWN, environ), port, 30)
                ports = request_alive(OWN, f'http://127.0.0.1:{port}')
                if ports is None:
                    raise NotStarted('it does not answer')
            except NotStarted as exc:
                self.not_started[server.name] = str(exc)
                return
            self.ports[server.name] = _describe(*ports)
            reached = list(self._start_fronts(server, processes, port))
            self._request_all(server, reached, ports[0] == ports[1])
            # without a port there is nothing to lead astray
            if 'default' in self.settings and self._tries and ports[0]:
                try:
                    self._attack_all(server, processes, port, journal)
                except NotStarted as exc:
                    self.not_started[server.name] = str(exc)

    def _start_fronts(self, server, processes, backend):
        """Start all fronts at once, and yield those that work, with their URLs."""
        started = []
        for front in self.fronts:
            if front.command is None:
                yield front, f'http://127.0.0.1:{backend}'
                continue
            port = free_port()
            process = processes.start(
                front.name, lambda own, f=front, p=port: f.command(own, p, backend), front.starts_as
            )
            started.append((front, port, process))
        for front, port, process in started:
            url = f'{front.scheme}://127.0.0.1:{port}'
            try:
                wait_for(process, port)
                if request_alive(STRANGER, url) is None:
                    raise NotStarted('the server is not reached through it')
            except NotStarted as exc:
                self.not_started[f'{front.name} in front of {server.name}'] = str(exc)
            else:
                yield front, url

    def _request_all(self, server, reached, sets_port):
        planned = [
            (setting, front, url, client)
            for setting in self.settings
            for front, url in reached
            for client in CLIENTS[setting]
            # the ports below 1024 would run out, since each waits for a minute after its use
            if front.account is None or not client.low_port
        ]
        with ThreadPoolExecutor(2) as pool:
            statuses = pool.map(lambda plan: request(plan[3], plan[2], f'/{plan[0]}/cron'), planned)
            for (setting, front, _, client), status in zip(planned, statuses, strict=True):
                self.cells.append(Cell(server.name, front.name, front.account, setting, client, status, sets_port))

    def _attack_all(self, server, processes, port, journal):
        found = self.attacks[server.name] = {}
        for kind in ATTACKS:
            found[kind] = self._attack(processes, kind, port, journal)
            # one is enough to notice a control
            if self._control and found[kind] is not None:
                return

    def _attack(self, processes, kind, port, journal):
        """Return within how many connections of a stranger one was let in, ``None`` if none was.

        Meanwhile the server's account has connections to another service.
        """
        before = journal.stat().st_size
        with OtherService() as other:
            holder = processes.start(f'hold-{kind}', lambda own: [*STEERING, 'hold', other.port, HELD], OWN)
            other.wait(HELD)
            attacker = processes.start(
                kind, lambda own: [*STEERING, kind, port, '/default/cron', other.port, self._tries], STRANGER
            )
            deadline = time.monotonic() + LONGEST_ATTACK
            while attacker.poll() is None and journal.stat().st_size == before and time.monotonic() < deadline:
                time.sleep(0.02)
            attacker.terminate()
            holder.terminate()
            # the server may still have to answer the requests of the attack
            if request_alive(OWN, f'http://127.0.0.1:{port}') is None:
                raise NotStarted('it does not answer after an attack')
        connections = len(attacker.log.read_text().splitlines())
        return connections if journal.stat().st_size > before else None


class OtherService:
    """Another service of this machine, such as a database, which accepts connections."""

    def __enter__(self):
        # all addresses of the loopback interface, and no other
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')
        self._server.bind(('0.0.0.0', 0))
        self._server.listen(500)
        self.port = self._server.getsockname()[1]
        self._accepted = []
        self._enough = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with self._enough:
                    self._accepted.append(client)
                    self._enough.notify()

    def wait(self, count):
        with self._enough:
            self._enough.wait_for(lambda: len(self._accepted) >= count, timeout=20)

    def __exit__(self, *exc):
        # wakes accept() up
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in self._accepted:
            client.close()


def _describe(port, real):
    if port == real:
        return 'the real one'
    if not port:
        return 'none'
    number = int(real)
    swapped = number >> 8 | (number & 0xFF) << 8
    return 'with swapped bytes' if port == str(swapped) else f'{port} in place of {real}'
