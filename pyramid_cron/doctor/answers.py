"""The meaning of an answer to the doctor's request, and of no answer."""

from __future__ import annotations

import re
import socket
import ssl
from typing import NamedTuple

from pyramid_cron.access.refusal import OTHER_ACCOUNTS, THROUGH_PROXY, WITHOUT_SECRET
from pyramid_cron.doctor.address import Address
from pyramid_cron.doctor.findings import FAIL, OK, Finding
from pyramid_cron.doctor.request import Answer
from pyramid_cron.printable import class_name, message, printable
from pyramid_cron.views import WOULD_RUN

TOPIC = 'request'
ALLOWED = re.compile(re.escape(WOULD_RUN) + '; application (.+)')
REFUSED = re.compile(r'fail: refused a request (?P<kind>[^:]+): (?P<remedy>.+)', re.DOTALL)
# what pyramid_cron answers that does not know ?check: after a run, and to a refused request
RAN = re.compile(r'(ok|fail)\b')
LONGEST_SHOWN = 60

LOG = 'the log of pyramid_cron has the reason and what to do; restart the server if it runs an older version'


class SentRequest(NamedTuple):
    """A request that was sent, and what was expected.

    :param address: where it was sent to.
    :param app: the name of the application.
    :param path: the path of the trigger in the application.
    :param account: the account that sent it.
    :param sent_secret: whether it carried the secret.
    :param own: the address of the application server, if it is known and another one.
    :param line_sends_header: whether it stands for a line of a crontab with a header, which may be the secret.
    """

    address: Address
    app: str
    path: str
    account: str
    sent_secret: bool = False
    own: Address | None = None
    line_sends_header: bool = False

    @property
    def instead(self) -> str:
        """Where to send the request in place of a proxy."""
        return f'request the application server itself{"" if self.own is None else f", {self.own}"}'


def interpret(sent: SentRequest, answer: Answer) -> Finding:
    """Return what an answer means."""
    body, address = answer.body.strip(), sent.address
    allowed, refused = ALLOWED.fullmatch(body), REFUSED.fullmatch(body)
    if allowed is not None and answer.status == 200:
        return _of_allowed(sent, printable(allowed[1]))
    if refused is not None:
        return _of_refused(sent, answer, printable(refused['kind']), printable(' '.join(refused['remedy'].split())))
    if 300 <= answer.status < 400:
        return _failed(
            f'{address} redirects ({answer.status}) to {printable(answer.location or "nowhere")}, and nothing runs',
            f'exclude {sent.path} from that in the proxy or the application, or {sent.instead}',
        )
    if answer.status in (401, 403, 405):
        if body.startswith('fail'):
            return _failed(f'{address} refuses the request ({answer.status})', LOG)
        return _failed(
            f'{address} refuses the request ({answer.status}), and that is not pyramid_cron{_server(answer)}',
            f'a proxy, or a tween of the application, protects the path: {sent.instead}',
        )
    if answer.status == 404:
        return _failed(
            f'{address} is not found (404){_server(answer)}',
            f'the path of the trigger is {sent.path}, below that of a mount; if a proxy refuses it, {sent.instead}',
        )
    if answer.status in (502, 503, 504):
        return _failed(
            f'{address} answers {answer.status}{_server(answer)}: the application behind it does not answer',
            'start the application server',
        )
    if answer.status in (200, 500) and RAN.match(body):
        return _failed(
            f'{address} answers {_shown(body)}: that is a pyramid_cron that does not know ?check, and has run what was '
            'due',
            'restart the server with the version that is installed here',
        )
    if answer.status >= 500:
        return _failed(f'{address} answers {answer.status}{_server(answer)}', 'the log of the server has the traceback')
    return _failed(
        f'{address} answers {answer.status} {_shown(body)}, and that is not this application{_server(answer)}',
        f'request the port of {sent.app}, or include pyramid_cron before the route that matches {sent.path}',
    )


def _of_allowed(sent: SentRequest, name: str) -> Finding:
    if name != sent.app:
        return _failed(
            f'{sent.address} is the application {name}, not {sent.app}',
            f'request the port and the path of {sent.app}',
        )
    secret = ' with the secret' if sent.sent_secret else ''
    return Finding(OK, TOPIC, f'{sent.address} allows {sent.account} to run the tasks of {name}{secret}')


def _of_refused(sent: SentRequest, answer: Answer, kind: str, remedy: str) -> Finding:
    text = f'{sent.address} refuses requests {kind} ({answer.status})'
    if kind == WITHOUT_SECRET and sent.line_sends_header:
        return Finding(OK, TOPIC, f'{sent.address} requires a secret, and the line sends a header')
    if kind == WITHOUT_SECRET and sent.sent_secret:
        return _failed(
            f'{sent.address} refuses the secret of this configuration ({answer.status})',
            'restart the server if the secret was changed; under mod_wsgi set WSGIPassAuthorization On',
        )
    if kind == OTHER_ACCOUNTS:
        text += f', and this is the account {sent.account}'
    if kind == THROUGH_PROXY and sent.own is not None:
        remedy += f'; it listens at {sent.own}'
    return _failed(text, remedy)


def no_answer(sent: SentRequest, exc: Exception) -> Finding:
    """Return what it means that a request was not answered.

    :param exc: the error.
    """
    address = sent.address
    if isinstance(exc, ConnectionRefusedError | FileNotFoundError):
        what = 'there is no socket' if isinstance(exc, FileNotFoundError) else 'nothing listens'
        return _failed(
            f'{what} at {address}', 'start the server, or name the address that it has: pcron doctor CONFIG_URI URL'
        )
    if isinstance(exc, TimeoutError):
        return _failed(
            f'{address} does not answer',
            'look in the log for "begins" without "ended": all threads of the server may be busy',
        )
    if isinstance(exc, socket.gaierror):
        return _failed(f'{address}: its name has no address ({message(exc)})', 'correct the URL')
    if isinstance(exc, ssl.SSLError):
        return _failed(f'{address}: {message(exc)}', 'curl refuses it as well: correct the certificate or the URL')
    if isinstance(exc, PermissionError):
        return _failed(f'{address}: {message(exc)}', f'give the account {sent.account} access to the socket')
    if isinstance(exc, OSError) and not isinstance(exc, ConnectionError):
        return _failed(f'{address} cannot be reached: {message(exc)}', 'correct the URL, or the network')
    # an error of HTTP, or of a connection that was closed
    return _failed(
        f'{address} answers no HTTP: {class_name(exc)}: {message(exc)}', 'correct the scheme or the port of the URL'
    )


def not_sent(sent: SentRequest) -> Finding:
    """Return that the secret is not sent where others could read it."""
    return _failed(
        f'{sent.address} is http to another machine, which would show cron.secret on the way, so that nothing was sent',
        'use https, or request from the machine itself',
    )


def _failed(text: str, remedy: str) -> Finding:
    return Finding(FAIL, TOPIC, text, remedy)


def _server(answer: Answer) -> str:
    return f', by the header Server: {printable(answer.server)}' if answer.server else ''


def _shown(body: str) -> str:
    line = printable(' '.join(body.split()))
    return repr(line if len(line) <= LONGEST_SHOWN else f'{line[:LONGEST_SHOWN]}…')
