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

from . import fronts, servers
from .application import SETTINGS
from .controls import CONTROLS
from .matrix import Matrix
from .processes import adopt_orphans, end_orphans
from .report import as_json, print_lists, print_tables
from .servers import missing
from .verdict import WRONG

EPILOG = """
It takes what this machine has, and names what it has not. The whole matrix needs, of Debian:
  nginx libnginx-mod-stream apache2 libapache2-mod-wsgi-py3 haproxy caddy socat stunnel4 xinetd systemd curl openssl
and of PyPI, beside the extra "testing":
  uwsgi granian hypercorn uvicorn asgiref a2wsgi bjoern Paste cheroot werkzeug tornado twisted
It needs root, to run each part under an account of its own: the server as daemon, proxies as www-data, strangers as
nobody.
"""
PROGRAMS = ['curl', 'setpriv']
#: connections of each attack
TRIES, QUICK_TRIES = 250, 50


def main():
    parser = argparse.ArgumentParser(
        prog='python -m tests.doors',
        description=sys.modules['tests.doors'].__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every_server = {server.name: server for server in servers.SERVERS}
    every_front = {front.name: front for front in fronts.FRONTS}
    parser.add_argument('--only', action='append', choices=every_server, metavar='SERVER', help=', '.join(every_server))
    parser.add_argument('--front', action='append', choices=every_front, metavar='FRONT', help=', '.join(every_front))
    parser.add_argument('--setting', action='append', choices=SETTINGS, help='the settings (default: each of them)')
    parser.add_argument('--quick', action='store_true', help='a few servers and fronts, in half a minute')
    parser.add_argument('--tries', type=int, help=f'connections of each attack (default: {TRIES})')
    parser.add_argument('--json', action='store_true', help='print everything as JSON')
    parser.add_argument('--control', choices=CONTROLS, help='take out a protection, which has to be found')
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error('it needs root, to run servers and clients under accounts of their own')
    if lacking := missing(PROGRAMS):
        parser.error(f'it needs {" and ".join(lacking)}')
    tries = (QUICK_TRIES if arguments.quick else TRIES) if arguments.tries is None else arguments.tries
    left_out = {'servers': {}, 'fronts': {}, 'settings': {}}
    chosen = {
        'servers': [
            every_server[name] for name in arguments.only or (servers.QUICK if arguments.quick else every_server)
        ],
        'fronts': [every_front[name] for name in arguments.front or (fronts.QUICK if arguments.quick else every_front)],
    }
    for kind, names in chosen.items():
        for each in names:
            if lacking := each.lacks():
                left_out[kind][each.name] = f'there is no {", no ".join(lacking)}'
    settings = [name for name in arguments.setting or SETTINGS if not unknown(name, left_out['settings'])]
    usable = {kind: [each for each in names if each.name not in left_out[kind]] for kind, names in chosen.items()}

    # the end of a test run is no reason to leave processes behind
    signal.signal(signal.SIGTERM, lambda *arguments: sys.exit(2))
    adopt_orphans()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='doors-', dir='/tmp') as name:
        Path(name).chmod(0o777)
        matrix = Matrix(Path(name), usable['fronts'], settings, tries, arguments.control)
        try:
            for server in usable['servers']:
                print(server.name, file=sys.stderr, flush=True)
                matrix.try_server(server)
        finally:
            end_orphans()
    findings = Counter(finding for finding in (cell.finding() for cell in matrix.cells) if finding)
    attacks = Counter(kind for found in matrix.attacks.values() for kind, let_in in found.items() if let_in is not None)
    wrong = {name: number for name, number in findings.items() if name in WRONG}
    wrong |= {f'let in by an attack: {kind}': number for kind, number in attacks.items()}
    if matrix.not_started:
        wrong['not started'] = len(matrix.not_started)
    result = {
        'cells': matrix.cells,
        'ports': matrix.ports,
        'attacks': matrix.attacks,
        'left out': left_out,
        'not started': matrix.not_started,
        'seconds': round(time.monotonic() - began, 1),
        'set-ups': len({(cell.server, cell.front) for cell in matrix.cells}),
        'requests': len(matrix.cells),
        'findings': dict(findings),
        'wrong': wrong,
    }
    if arguments.json:
        print(json.dumps(as_json(result), indent=2))
    else:
        print_tables(matrix.cells)
        print_lists(result)
        print(
            f'\n{result["requests"]} requests to {result["set-ups"]} set-ups in {result["seconds"]} seconds; wrong: '
            + (', '.join(f'{name} {number}' for name, number in wrong.items()) or 'nothing')
        )
    if arguments.control and not wrong:
        print(f'the control {arguments.control} went unnoticed', file=sys.stderr)
    sys.exit(bool(wrong) != bool(arguments.control))


def unknown(setting, left_out):
    """Check whether this version of the package does not know a setting, and note that it is left out."""
    lacking = [key for key in SETTINGS[setting] if key.removeprefix(PREFIX) not in TABLE]
    if lacking:
        left_out[setting] = f'there is no setting {" and ".join(lacking)}'
    return bool(lacking)


main()
