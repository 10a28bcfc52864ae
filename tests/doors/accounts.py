"""Accounts of the matrix: those that Debian has anyway."""

import os
import pwd
import subprocess
from pathlib import Path

#: runs the server
OWN = 'daemon'
#: runs proxies, as on Debian
OTHER = 'www-data'
#: runs clients
STRANGER = 'nobody'
ROOT = 'root'

# the bits of the capabilities to read every file, the first of which a container may lack
READ_SEARCH, OVERRIDE = 2, 1


def command_as(account, command):
    """Return the command that runs another one under an account, and that is killed if this process ends.

    The account may read every file, because this Python and this checkout can be in a folder of root's.
    """
    ended = ['setpriv', '--pdeathsig', 'KILL']
    if account == ROOT:
        return [*ended, *command]
    (bounds,) = (line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('CapBnd'))
    capability = '+dac_read_search' if int(bounds.split()[1], 16) >> READ_SEARCH & 1 else '+dac_override'
    group = str(pwd.getpwnam(account).pw_gid)
    identity = ['--reuid', account, '--regid', group, '--clear-groups']
    return [*ended, *identity, '--inh-caps', capability, '--ambient-caps', capability, *command]


def run_as(account, command, **options):
    """Run a system's program under an account, and return its result."""
    entry = pwd.getpwnam(account)
    identity = {} if account == ROOT else {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}
    return subprocess.run(
        command, capture_output=True, text=True, cwd='/', env=os.environ | {'HOME': '/'}, **identity, **options
    )
