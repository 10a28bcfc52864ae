"""A tick by HTTP of a process that runs, next to the start of another."""

from __future__ import annotations

import http.client
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from operator import add
from pathlib import Path

from benchmarks.measure import Row, Size, WrongResult

INI = """
[app:main]
use = call:benchmarks.application:main
"""

SERVE = """
import sys, time
from pyramid.paster import get_app
from waitress.server import create_server

app = get_app(sys.argv[1])

def with_cpu(environ, start_response):
    if environ['PATH_INFO'] != '/cpu':
        return app(environ, start_response)
    start_response('200 OK', [])
    return [repr(time.process_time()).encode()]

server = create_server(with_cpu, host='127.0.0.1', port=0)
print(server.effective_port, flush=True)
server.run()
"""

BOOTSTRAP = "import sys; from pyramid.paster import bootstrap; bootstrap(sys.argv[1])['closer']()"

TICKS = 50


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; processes are started from the folder that the benchmarks were started in."""
    group = "A minute's tick of 10 tasks, none due, in CPU time"
    with tempfile.TemporaryDirectory() as folder:
        ini = Path(folder, 'app.ini')
        ini.write_text(INI, encoding='utf-8')
        command = [sys.executable, '-c', SERVE, str(ini)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                in_server, in_curl, starts = [], [], []
                for _ in range(size.processes):
                    in_server.append(_server_seconds(port))
                    in_curl.append(
                        _children_seconds(
                            ['curl', '-fsS', '--noproxy', '*', '-o', os.devnull, f'http://localhost:{port}/cron']
                        )
                    )
                    starts.append(_children_seconds([sys.executable, '-c', BOOTSTRAP, str(ini)]))
            finally:
                server.terminate()
    start = statistics.median(starts)
    yield Row(group, 'in a running waitress', 'start of a process', statistics.median(in_server), start)
    yield Row(
        group, "with crontab's curl", 'start of a process', statistics.median(map(add, in_server, in_curl)), start
    )


def _server_seconds(port: int) -> float:
    """Return the CPU seconds of the server for a tick."""
    connection = http.client.HTTPConnection('localhost', port)

    def get(path: str) -> bytes:
        connection.request('GET', path)
        return connection.getresponse().read()

    before = float(get('/cpu'))
    for _ in range(TICKS):
        if get('/cron') != b'ok':
            raise WrongResult('a tick by HTTP did not answer ok')
    seconds = float(get('/cpu')) - before
    connection.close()
    return seconds / TICKS


def _children_seconds(command: list[str]) -> float:
    """Return the CPU seconds that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
