"""The questions of a person on call, and the commands that answer them: the end of ``pcron --help``."""

from __future__ import annotations

QUESTIONS = """\
questions, and the commands that answer them:
  Did the task of 02:00 run?       pcron list app.ini --at 02:00
  Why did it not run?              pcron show app.ini TASK --at 02:00
  What did it log, and raise?      pcron history app.ini TASK -v --limit 1
  Run it now                       pcron run app.ini TASK
  Run it for the minute it missed  pcron run app.ini TASK --for 02:00
  What takes so long?              pcron running app.ini
  Stop it                          pcron stop app.ini TASK
  Who paused it, and since when?   pcron show app.ini TASK
  Silence a known failure          pcron acknowledge app.ini TASK --reason WHY
  What runs tonight?               pcron timeline app.ini
  What does this deploy change?    pcron plan app.ini
  What keeps tasks from running?   pcron doctor app.ini

TASK is the name of a task, or a part that no other name has: expire for
shop.expire. Each command has a --help of its own.
"""
