"""The script. It ends with status 1 if the property was broken, or if a control went unnoticed."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pyramid_cron.settings import PREFIX, TABLE

from .application import SETTINGS
from .controls import CONTROLS
from .fronts import FRONTS as EVERY_FRONT
from .fronts import QUICK as QUICK_FRONTS
from .matrix import Matrix
from .processes import adopt_orphans, end_orphans
from .report import as_json, print_lists, print_tables
from .servers import QUICK as QUICK_SERVERS
from .servers import SERVERS as EVERY_SERVER
from .servers import missing
from .verdict import NO_ANSWER, WRONG

EPILOG = """
It takes what this machine has, and names what it has not. The whole matrix needs, of Debian:
  nginx libnginx-mod-stream apache2 libapache2-mod-wsgi-py3 haproxy caddy socat stunnel4 xinetd systemd curl openssl
and of PyPI, beside the extra "testing":
  uwsgi granian hypercorn uvicorn asgiref a2wsgi bjoern Paste cheroot werkzeug tornado twisted
It needs root, to run each part under an account of its own: the server as daemon, proxies as www-data, strangers as
nobody.
"""
SERVERS = {server.name: server for server in EVERY_SERVER}
FRONTS = {front.name: front for front in EVERY_FRONT}
NOT_STARTED = 'not started'
PROGRAMS = ['curl', 'setpriv']
#: connections of each attack
TRIES, QUICK_TRIES = 250, 50


def main():
    arguments = parse_arguments()
    servers, fronts, settings, left_out = choose(arguments)
    tries = (QUICK_TRIES if arguments.quick else TRIES) if arguments.tries is None else arguments.tries
    # ends what was started, as Ctrl-C does
    signal.signal(signal.SIGTERM, lambda *arguments: sys.exit(2))
    adopt_orphans()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='doors-', dir='/tmp') as name:
        Path(name).chmod(0o777)
        matrix = Matrix(Path(name), fronts, settings, tries, arguments.control)
        try:
            for server in servers:
                print(server.name, file=sys.stderr, flush=True)
                matrix.try_server(server)
        finally:
            end_orphans()
    result = {**summary(matrix), 'left out': left_out, 'seconds': round(time.monotonic() - began, 1)}
    if arguments.json:
        print(json.dumps(as_json(result), indent=2))
    else:
        print_tables(matrix.cells)
        print_lists(result)
    if not arguments.control:
        sys.exit(bool(result['wrong']) or not matrix.cells)
    # what did not work proves nothing
    noticed = result['wrong'].keys() - {NO_ANSWER, NOT_STARTED}
    if not noticed:
        print(f'the control {arguments.control} went unnoticed', file=sys.stderr)
    sys.exit(not noticed)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.doors',
        description=sys.modules['tests.doors'].__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--only',
        action='append',
        choices=SERVERS,
        metavar='SERVER',
        help=f'which can be repeated: {", ".join(SERVERS)}',
    )
    parser.add_argument(
        '--front', action='append', choices=FRONTS, metavar='FRONT', help=f'which can be repeated: {", ".join(FRONTS)}'
    )
    parser.add_argument('--setting', action='append', choices=SETTINGS, help='which can be repeated')
    parser.add_argument('--quick', action='store_true', help='a few servers, fronts and connections, in half a minute')
    parser.add_argument('--tries', type=int, help=f'connections of each attack (default: {TRIES})')
    parser.add_argument('--json', action='store_true', help='print everything as JSON')
    parser.add_argument('--control', choices=CONTROLS, help='take out a protection, which has to be found')
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error('it needs root, to run servers and clients under accounts of their own')
    if lacking := missing(PROGRAMS):
        parser.error(f'it needs {" and ".join(lacking)}')
    return arguments


def choose(arguments):
    """Return the servers, fronts and settings that are chosen and usable, and why others are left out."""
    left_out = {'servers': {}, 'fronts': {}, 'settings': {}}
    names = {
        'servers': arguments.only or (QUICK_SERVERS if arguments.quick else SERVERS),
        'fronts': arguments.front or (QUICK_FRONTS if arguments.quick else FRONTS),
    }
    usable = {}
    for kind, every in (('servers', SERVERS), ('fronts', FRONTS)):
        usable[kind] = []
        for name in names[kind]:
            if lacking := every[name].lacks():
                left_out[kind][name] = f'there is no {", no ".join(lacking)}'
            else:
                usable[kind].append(every[name])
    settings = []
    for name in arguments.setting or SETTINGS:
        if lacking := [key for key in SETTINGS[name] if key.removeprefix(PREFIX) not in TABLE]:
            left_out['settings'][name] = f'there is no setting {" and ".join(lacking)}'
        else:
            settings.append(name)
    return usable['servers'], usable['fronts'], settings, left_out


def summary(matrix):
    """Return what a matrix has found, and the numbers of what is wrong."""
    findings = Counter(finding for cell in matrix.cells if (finding := cell.finding()))
    wrong = {name: number for name, number in findings.items() if name in WRONG}
    attacks = [within for found in matrix.attacks.values() for within in found.values()]
    if let_in := len(attacks) - attacks.count(None):
        wrong['let in by an attack'] = let_in
    if matrix.not_started:
        wrong[NOT_STARTED] = len(matrix.not_started)
    return {
        'cells': matrix.cells,
        'ports': matrix.ports,
        'attacks': matrix.attacks,
        'not started': matrix.not_started,
        'set-ups': len({(cell.server, cell.front) for cell in matrix.cells}),
        'requests': len(matrix.cells),
        'findings': dict(findings),
        'wrong': wrong,
    }


main()
