"""The command ``pcron``, as ``python -m pyramid_cron``, where the script is not on the path."""

import sys

from pyramid_cron.scripts.pcron import main

sys.exit(main(sys.argv))
