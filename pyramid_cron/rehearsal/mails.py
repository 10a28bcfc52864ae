"""Mails of pyramid_mailer, kept in place of being sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid_cron.rehearsal.findings import Findings


class KeptMails:
    """A mailer with the methods of pyramid_mailer's, which sends nothing.

    :param findings: where the mails are recorded.
    :param default_sender: the sender of mails without one.
    """

    def __init__(self, findings: Findings, default_sender: str | None = None) -> None:
        self._findings = findings
        self.default_sender = default_sender

    def bind(self, **options: Any) -> KeptMails:
        """Return a mailer with another default sender; it joins no transaction."""
        return KeptMails(self._findings, options.get('default_sender', self.default_sender))

    def send(self, message: Any) -> None:
        """Keep a mail that would be sent with the commit of the task."""
        self._keep(message, 'with the commit')

    def send_to_queue(self, message: Any) -> None:
        """Keep a mail that would be queued with the commit of the task."""
        self._keep(message, 'to the queue, with the commit')

    def send_immediately(self, message: Any, fail_silently: bool = False) -> None:
        """Keep a mail that would be sent at once."""
        self._keep(message, 'at once')

    send_sendmail = send

    def send_immediately_sendmail(self, message: Any, fail_silently: bool = False) -> None:
        """Keep a mail that would be sent at once."""
        self._keep(message, 'at once')

    def _keep(self, message: Any, when: str) -> None:
        if message.sender is None:
            message.sender = self.default_sender
        # a mail that cannot be made is the failure of the task that it would be
        message.to_message()
        to = ', '.join(sorted(map(str, message.send_to)))
        self._findings.mail(f'to {to}, {when}: {message.subject}')


@contextmanager
def kept_mails(registry: Any, findings: Findings) -> Iterator[None]:
    """Replace the mailer of an application in the ``with``, if it has one."""
    try:
        from pyramid_mailer.interfaces import IMailer
    except ImportError:
        yield
        return
    mailer = registry.queryUtility(IMailer)
    if mailer is None:
        yield
        return
    registry.registerUtility(KeptMails(findings, getattr(mailer, 'default_sender', None)), IMailer)
    try:
        yield
    finally:
        registry.registerUtility(mailer, IMailer)
