"""What a rehearsal finds."""

from pyramid_cron.rehearsal.findings import Findings, NotHeldBack, Write


def test_rows_are_counted_by_table_and_kind():
    findings, write = Findings(), Write('shop', 'items', 'insert')
    for rows in (3, 2, 0, -1):
        findings.write(write, rows)
    findings.statement()
    assert (findings.rows, findings.statements) == ({write: 5}, 1)


def test_only_commits_of_the_task_count():
    findings = Findings()
    findings.commit()
    with findings.in_task():
        findings.commit()
        findings.commit()
    findings.commit()
    assert findings.commits == 2


def test_the_same_is_shown_once():
    findings = Findings()
    for _ in range(2):
        findings.escape('a file')
        findings.violate('a  key\nfailed')
        error = findings.refuse('a driver')
        findings.mail('to ada')
    assert isinstance(error, NotHeldBack)
    assert str(error) == 'a driver: the rehearsal could not roll that back, and refuses it'
    assert (findings.escaped, findings.violations, findings.refused) == (['a file'], ['a key failed'], ['a driver'])
    assert findings.mails == ['to ada', 'to ada']
