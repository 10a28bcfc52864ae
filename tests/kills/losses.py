"""Messages of queues that are lost at random, and whether they were sent again."""

import fcntl
import random
from collections import Counter, defaultdict

from sqlalchemy import create_engine, select

from pyramid_cron.queues import procrastinate
from pyramid_cron.store import due_runs
from pyramid_cron.store.schema import runs

# of all that are sent
LOST = 0.1
NEVER_BEGUN = 'no worker began it'


class Messages:
    """A record of the messages that are sent and lost, in a file of the harness.

    :param folder: the folder of the harness.
    """

    def __init__(self, folder):
        self._file = folder / 'messages'
        #: another one in each process that is forked
        self.chance = random.SystemRandom()
        #: whether messages are lost by this process
        self.loses = True

    def is_lost(self, key):
        """Return whether a message is lost, and record that it was sent."""
        lost = self.loses and self.chance.random() < LOST
        with self._file.open('a') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f'{"lost" if lost else "sent"}\t{key}\n')
        return lost

    def read(self):
        """Return the key of each message, with whether it was lost."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [(key, word == 'lost') for word, key in (line.split('\t') for line in lines)]

    def figures(self, url):
        """Return how many messages were lost, and which of their runs nothing was done for.

        Under ``'wrong'``: how many runs were missed because no worker began them, although their message was sent once
        only, but for a few for which the machine was too slow; and how many of the minutes whose messages were lost are
        recorded neither as done nor as missed.
        """
        messages = self.read()
        sent, lost = Counter(key for key, _ in messages), Counter(key for key, is_lost in messages if is_lost)
        attempts, outcomes, never_begun = Counter(), defaultdict(set), set()
        engine = create_engine(url)
        with engine.connect() as connection:
            query = select(runs.c.task, runs.c.scheduled_for, runs.c.attempt, runs.c.outcome, runs.c.reason)
            for task, minute, attempt, outcome, reason in connection.execute(query):
                key = f'kills:{task}@{minute:%Y-%m-%dT%H:%MZ}'
                attempts[key] += attempt > 0
                outcomes[key].add(outcome)
                # not one whose job waits in procrastinate: it is not lost
                if outcome == 'missed' and NEVER_BEGUN in (reason or '') and 'waits' not in reason:
                    never_begun.add(key)
        engine.dispose()
        once = sum(sent[key] <= attempts[key] for key in never_begun)
        ended = {'ok', 'missed', 'lost', 'failed', 'skipped'}
        return {
            'messages': len(messages),
            'messages lost': sum(lost.values()),
            'sent more than once': sum(sent[key] > attempts[key] for key in sent),
            'runs that no worker began': len(never_begun),
            'of these sent once only': once,
            'done although a message was lost': sum('ok' in outcomes[key] for key in lost),
            'wrong': {
                'never begun and sent once only': max(0, once - len(messages) // 50),
                'lost and not recorded': sum(not outcomes[key] & ended for key in lost),
            },
        }


def lose_jobs(messages):
    """Lose some of the jobs of procrastinate in the transactions that write them."""
    make_enqueue = procrastinate.make_enqueue

    def make(options, registry):
        enqueue = make_enqueue(options, registry)

        def lose(handovers, connection):
            left = [handover for handover in handovers if not messages.is_lost(handover.key)]
            if left:
                enqueue(left, connection)

        return lose

    procrastinate.make_enqueue = make


def sent_once():
    """Send nothing again: the control."""
    due_runs.sent_after = lambda *arguments: None
