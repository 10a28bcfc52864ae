"""What all held connections share."""

import pytest

from pyramid_cron.rehearsal.findings import Findings, NotHeldBack
from pyramid_cron.rehearsal.savepoints import SavepointConnection


class Connection(SavepointConnection):
    label = 'shop'

    def __init__(self, can_be_armed=True):
        self.executed = []
        self.can_be_armed = can_be_armed

    def arm(self):
        self._is_armed = self.can_be_armed

    def _execute_own(self, text):
        self.executed.append((text, self._owns))


def test_each_commit_moves_the_savepoint():
    connection, findings = Connection(), Findings()
    with findings.in_task():
        connection.hold_commit(findings)
        connection.hold_commit(findings)
    savepoint, release = 'SAVEPOINT pyramid_cron_rehearsal', 'RELEASE SAVEPOINT pyramid_cron_rehearsal'
    assert connection.executed == [(savepoint, True), (release, True), (savepoint, True)]
    assert findings.commits == 2
    assert not connection._owns


def test_a_connection_that_cannot_be_prepared_is_refused():
    Connection()._require_armed(Findings())
    findings = Findings()
    with pytest.raises(NotHeldBack):
        Connection(can_be_armed=False)._require_armed(findings)
    assert findings.refused == ['a transaction in shop that had begun before the rehearsal']
