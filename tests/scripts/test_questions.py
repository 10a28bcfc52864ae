"""The questions in ``pcron --help``."""

import re
import shlex

from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.scripts.questions import QUESTIONS


def test_the_help_has_a_command_for_each_question():
    text = PCronCommand.parser.format_help()
    assert max(map(len, text.splitlines())) <= 80
    commands = re.findall(r'^  .*\S  +pcron (.*)$', text, re.MULTILINE)
    assert len(commands) == len(QUESTIONS.split('\n\n')[0].splitlines()) - 1
    for command in commands:
        PCronCommand(['pcron', *shlex.split(command)])
