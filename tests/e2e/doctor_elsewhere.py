"""Runs ``pcron doctor`` as on another machine: ``doctor_elsewhere.py FOLDER …``.

The folder has ``etc``, ``var`` and ``usr`` of that machine, and what ``crontab -l`` prints there in ``crontab``.
"""

import sys
from pathlib import Path

from pyramid_cron.scripts.pcron import PCronCommand


class Command(PCronCommand):
    """Reads the crontabs of a folder."""

    root = Path(sys.argv[1])
    crontab = str(root / 'print-crontab')


sys.exit(Command(['pcron', 'doctor', *sys.argv[2:]]).run())
