"""Compares due tasks with cronsim, minute by minute, around each transition of a zone: ``cronsim_reference.py ZONE``.

It is a program of its own so that zones are compared beside each other, and at full speed. It prints the differences
that nothing explains, and last how many have which explanation, as JSON.
"""

import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim

from pyramid_cron.tasks import Task, Tasks

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

EXPRESSIONS = """
* * * * *
*/5 * * * *
*/20 1-3 * * *
7 * * * *
30 */2 * * *
0 */6 * * *
59 */1 * * *
* 2 * * *
*/15 0 * * *
15,45 * * * sun
0 0 * * *
1 0 * * *
30 0 * * *
59 23 * * *
0 1 * * *
30 1 * * *
0 2 * * *
15 2 * * *
30 2 * * *
59 2 * * *
0 3 * * *
30 3 * * *
0 4 * * *
0 12 * * *
0,30 2 * * *
0-59/10 2 * * *
0-59 1 * * *
10-50/20 1-3 * * *
0 0-23 * * *
30 1,2,3 * * *
0 0 1 * *
30 2 * * sun
30 2 * * 7
0 2 * 3,10 *
30 2 29-31 3 *
15 3 1-7 * mon
0 0 */2 * *
30 2 */2 * sun
0 2 1,15 * sat,sun
45 23 * * sat
30 2 * * 0L
15 2,3 L 3,10 *
30 1 * 3,11 sun#1,7#2
59 23 LW * 6#5
""".strip().splitlines()


def transitions(zone, first=2000, last=2035):
    """Yield the instants at which the UTC offset of ``zone`` has changed, to the minute."""
    instant, end = datetime(first, 1, 1, tzinfo=timezone.utc), datetime(last + 1, 1, 1, tzinfo=timezone.utc)
    offset = instant.astimezone(zone).utcoffset()
    while instant < end:
        later = instant + 6 * HOUR
        if later.astimezone(zone).utcoffset() != offset:
            while instant.astimezone(zone).utcoffset() == offset:
                instant += MINUTE
            yield instant, instant.astimezone(zone).utcoffset() - offset
            offset = later.astimezone(zone).utcoffset()
        instant = later


def reference(expression, first, last, zone):
    """Return the instants from ``first`` to ``last`` at which cronsim runs."""
    instants = []
    for moment in CronSim(expression, (first - MINUTE).astimezone(zone)):
        instant = moment.astimezone(timezone.utc)
        if instant > last:
            break
        instants.append(instant)
    return instants


def compare(zone):
    """Yield (transition, shift, expression, ours, theirs) where a window around a transition differs."""
    tasks = Tasks()
    for expression in EXPRESSIONS:
        tasks.add(expression, Task(print, cron=expression, timezone=zone, name=expression))
    for transition, shift in transitions(zone):
        window = [transition - DAY + number * MINUTE for number in range(2 * 24 * 60)]
        ours = {expression: [] for expression in EXPRESSIONS}
        for instant in window:
            for task in tasks.due(instant):
                ours[task.name].append(instant)
        for expression in EXPRESSIONS:
            theirs = reference(expression, window[0], window[-1], zone)
            if ours[expression] != theirs:
                yield transition, shift, expression, ours[expression], theirs


def explanation(zone, transition, shift, expression, ours, theirs):
    """Return why a difference is cronsim's, or ``None``."""
    sim = CronSim(expression, transition)
    interval = '*' in (expression.split()[0][0], expression.split()[1][0])
    # a jump of three hours or more is a change of clock: cronsim catches up what it skips, Debian's cron does not
    if not interval and shift >= 3 * HOUR and sorted([*ours, transition]) == theirs:
        return 'caught up'
    # where the clock does not go from one full hour to another (Lord Howe, Casey, Pyongyang and Caracas, and Gaza in
    # 2010 and 2011, a minute past midnight), cronsim loses or moves some runs of a schedule that follows the wall
    # clock; by the values that cronsim itself has read, what is due is what the wall clock says
    if interval and (shift % HOUR or transition.astimezone(zone).minute):
        window = [transition - DAY + number * MINUTE for number in range(2 * 24 * 60)]
        if ours == [instant for instant in window if reads(sim, instant.astimezone(zone))]:
            return 'wall clock'
    return None


def reads(sim, wall):
    """Tell whether the values that cronsim has read from an expression without days match a wall-clock minute."""
    return wall.minute in sim.minutes and wall.hour in sim.hours and wall.isoweekday() % 7 in sim.weekdays


if __name__ == '__main__':
    explained = Counter()
    for difference in compare(zone := ZoneInfo(sys.argv[1])):
        why = explanation(zone, *difference)
        explained[why] += 1
        if why is None:
            transition, shift, expression, ours, theirs = difference
            print(f'{expression!r} around {transition.astimezone(zone)} ({shift})')
            print('  only ours:', *sorted(set(ours) - set(theirs)))
            print("  only cronsim's:", *sorted(set(theirs) - set(ours)))
    print(json.dumps(explained | {'unexplained': explained.pop(None, 0)}))
