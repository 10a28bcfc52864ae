"""Mails of pyramid_mailer are kept."""

import sys

import pytest

from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.rehearsal.mails import kept_mails

# which does not work with Python 3.13
pytest.importorskip('pyramid_mailer.message')
pyramid_mailer = pytest.importorskip('pyramid_mailer')


def message(**values):
    from pyramid_mailer.message import Message

    return Message(
        **{'subject': 'invoice', 'recipients': ['ada@example.com', 'bob@example.com'], 'body': 'x', **values}
    )


def send_all(system):
    mailer = system['request'].mailer
    mailer.send(message())
    mailer.send_to_queue(message())
    mailer.send_sendmail(message())
    mailer.send_immediately(message(), fail_silently=True)
    mailer.bind(default_sender='eve@example.com').send_immediately_sendmail(message(sender='x@example.com'))


SETTINGS = {'mail.default_sender': 'shop@example.com', 'mail.host': 'mail.invalid'}
TO = 'to ada@example.com, bob@example.com'


def test_mails_are_kept_and_shown(make_site):
    site = make_site(include=['pyramid_mailer'], **SETTINGS)
    before = pyramid_mailer.get_mailer(site.registry)
    found = site.rehearse(send_all)
    assert found.report.exception is None
    assert found.findings.mails == [
        f'{TO}, with the commit: invoice',
        f'{TO}, to the queue, with the commit: invoice',
        f'{TO}, with the commit: invoice',
        f'{TO}, at once: invoice',
        f'{TO}, at once: invoice',
    ]
    assert found.is_held
    assert pyramid_mailer.get_mailer(site.registry).smtp_mailer is before.smtp_mailer


def test_a_mail_that_cannot_be_made_is_a_failure(make_site):
    site = make_site(include=['pyramid_mailer.testing'])
    found = site.rehearse(lambda system: system['request'].mailer.send(message(recipients=[])))
    assert found.report.outcome == 'failed'
    assert found.findings.mails == []


def test_without_a_mailer_nothing_is_replaced(site, monkeypatch):
    with kept_mails(site.registry, Findings()):
        pass
    monkeypatch.setitem(sys.modules, 'pyramid_mailer.interfaces', None)
    with kept_mails(site.registry, Findings()):
        pass
