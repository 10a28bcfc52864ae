"""Runs ``pcron`` under another account: ``doctor_under_account.py ACCOUNT COMMAND…``.

Everything is imported as root, since an unprivileged account may not be able to read this Python's files.
"""

import importlib
import os
import pkgutil
import pwd
import sys

import pyramid_cron.doctor
from pyramid_cron.scripts.pcron import PCronCommand

account, *words = sys.argv[1:]
entry = pwd.getpwnam(account)


class Command(PCronCommand):
    """Changes its account once the application is loaded."""

    def load(self):
        super().load()
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)


for module in pkgutil.iter_modules(pyramid_cron.doctor.__path__):
    importlib.import_module(f'pyramid_cron.doctor.{module.name}')
# what a connection loads at its first use
importlib.import_module('encodings.idna')
sys.exit(Command(['pcron', *words]).run())
