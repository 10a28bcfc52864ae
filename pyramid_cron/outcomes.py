"""Words for outcomes: how a run ended, why a failure is no alarm, why a task did not run."""

from __future__ import annotations

# how a run ended; missed: it did not happen in time, skipped and paused: it was not to happen
OK, FAILED, LOST, MISSED, SKIPPED, PAUSED = 'ok', 'failed', 'lost', 'missed', 'skipped', 'paused'
# it ended before all was done, because a person or the end of its process has stopped it: neither good nor a failure
STOPPED = 'stopped'
# a run that has not ended: it runs, or an engine has it
RUNNING, QUEUED = 'running', 'queued'
# a run that no process has claimed, because its engine has no room
WAITING = 'waiting'
# a task that is due while its previous run has been running for too long, or while its row in the store is locked
STUCK, LOCKED = 'stuck', 'locked'
# a task in the store that no process registers any more
UNREGISTERED = 'unregistered'
# a task with a minute in the store that lies in the future
AHEAD = 'ahead'
# a run that has not begun half of ``catch_up`` after it was due or enqueued, or a due minute since which no tick came
OVERDUE = 'overdue'
# a run that takes longer than its task's ``expect=``
SLOW = 'slow'
# why a failure is shown and is no alarm; beside these, the task may be paused
RETRYING, TOLERATED, ACKNOWLEDGED = 'retrying', 'tolerated', 'acknowledged'

# all of a report, in the order in which a summary counts them
OUTCOMES = (OK, FAILED, STOPPED, SKIPPED, PAUSED, STUCK, LOCKED, LOST, MISSED, QUEUED)

# outcomes of a run that may have committed work, together with its record if it has joined a session
COMMITTED = (OK, STOPPED)

# outcomes of what a person has named, a task or a minute, that are a success
DONE = (OK, QUEUED)

# outcomes that make a tick fail, and how they are shown of one task and of several
ALARMING = {
    FAILED: ('failed', 'failed'),
    STUCK: ('is stuck', 'are stuck'),
    LOCKED: ('is locked', 'are locked'),
    LOST: ('was lost', 'were lost'),
}
# what follows these words if it is no alarm
EXCUSED: dict[str | None, str] = {
    RETRYING: ' and will be tried again',
    TOLERATED: ', which is tolerated',
    ACKNOWLEDGED: ', which is acknowledged',
    PAUSED: ', while paused',
}

# reasons to skip a task
ALREADY_RUN, NO_TIME_LEFT, STOPPING = 'already run', 'no time left', 'stopping'
# of a task for which its engine has no room now
WAITS = 'it waits for a following tick'
# and to leave a past minute alone
ALREADY_OK = 'it was ok already'
NO_RECORD = 'it is older than the history that is kept (cron.keep_history), and may have been ok'
STILL_OWED = 'no tick has come to it yet: the next one runs it, or records it as missed'
