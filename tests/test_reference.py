"""Schedules compared with cronsim around every transition from 2000 to 2035; ``cronsim_reference.py`` does the work.

Three zones are compared, each with transitions of another kind, and all of them if ``COMPARE`` is ``all``. St. John's
is not among them: where the clocks went back at one minute past midnight, cronsim 2.8 never returns.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ALL = [
    'Africa/Cairo',
    'America/Caracas',
    'America/New_York',
    'America/Sao_Paulo',
    'Antarctica/Casey',
    'Asia/Gaza',
    'Asia/Pyongyang',
    'Australia/Lord_Howe',
    'Europe/Berlin',
    'Europe/Moscow',
    'Pacific/Apia',
    'Pacific/Norfolk',
]
# an hour at night, an hour at midnight, and half an hour
FEW = ['Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe']
ZONES = ALL if os.environ.get('COMPARE') == 'all' else FEW


@pytest.fixture(scope='module')
def comparisons():
    """Start the comparison of every zone, as many at once as there are processors."""
    program = Path(__file__).with_name('cronsim_reference.py')
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            zone: pool.submit(
                subprocess.run, [sys.executable, program, zone], check=True, stdout=subprocess.PIPE, text=True
            )
            for zone in ZONES
        }


@pytest.mark.parametrize('zone', ZONES)
def test_schedules_agree_with_cronsim_around_transitions(comparisons, zone):
    *differences, explained = comparisons[zone].result().stdout.splitlines()
    assert differences == []
    assert json.loads(explained)['unexplained'] == 0
