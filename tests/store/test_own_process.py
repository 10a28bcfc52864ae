"""This process in the store, and the one that is forked from it."""

import os

from pyramid_cron.store.own_process import OwnProcess


def test_a_process_stays_the_same():
    own = OwnProcess(30, print)
    assert own.process is own.process
    assert own.heartbeat is own.heartbeat
    assert own.process.pid == os.getpid()


def test_a_forked_process_is_another_one():
    own = OwnProcess(30, print)
    parent, heartbeat = own.process, own.heartbeat
    # as if this were the child
    parent.pid = -1
    assert own.heartbeat is not heartbeat
    assert own.process.id != parent.id
