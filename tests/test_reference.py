"""Schedules compared with cronsim around every transition from 2000 to 2035; ``cronsim_reference.py`` does the work.

St. John's is not among the zones: where the clocks went back at one minute past midnight, cronsim 2.8 never returns.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# a clock that changed twice a year by an hour, one that changed by half an hour, and one that jumped by hours
THREE = ['Europe/Moscow', 'America/Caracas', 'Antarctica/Casey']
OTHERS = [
    'Africa/Cairo',
    'America/New_York',
    'America/Sao_Paulo',
    'Asia/Gaza',
    'Asia/Pyongyang',
    'Australia/Lord_Howe',
    'Europe/Berlin',
    'Pacific/Apia',
    'Pacific/Norfolk',
]
PROGRAM = Path(__file__).with_name('support') / 'cronsim_reference.py'


def pytest_generate_tests(metafunc):
    metafunc.parametrize('zone', THREE + OTHERS if metafunc.config.getoption('thorough') else THREE)


@pytest.mark.slow
def test_schedules_agree_with_cronsim_around_transitions(zone):
    done = subprocess.run([sys.executable, PROGRAM, zone], check=True, stdout=subprocess.PIPE, text=True)
    *differences, explained = done.stdout.splitlines()
    assert differences == []
    assert json.loads(explained)['unexplained'] == 0
