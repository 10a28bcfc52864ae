"""Serves the application of an ini file with waitress under another account: ``under_account.py ACCOUNT INI PORT``.

Everything is imported as root, since an unprivileged account may not be able to read this Python's files.
"""

import os
import pwd
import sys

from pyramid.paster import get_app, setup_logging
from waitress import create_server

account, ini, port = sys.argv[1:]
setup_logging(ini)
server = create_server(get_app(ini), listen=f'127.0.0.1:{port}')
entry = pwd.getpwnam(account)
os.setgroups([])
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
server.run()
