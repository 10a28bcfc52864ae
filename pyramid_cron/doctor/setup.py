"""All checks of a set-up, one after another."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pyramid_cron.doctor import answers, crontab_check, machine, request
from pyramid_cron.doctor.address import Address
from pyramid_cron.doctor.crontab_files import has_mail, read_crontabs, read_environment
from pyramid_cron.doctor.crontab_lines import lines_of
from pyramid_cron.doctor.findings import FAIL, OK, Finding
from pyramid_cron.doctor.queues import examine_queues
from pyramid_cron.orders import cron_path
from pyramid_cron.printable import class_name, message
from pyramid_cron.settings import Settings, app_name


class Setup(NamedTuple):
    """What is examined.

    :param registry: the registry of the application.
    :param address: where the request is sent to, ``None`` if that is not known.
    :param own: where the application server listens according to its ini file, ``None`` if that is not known.
    :param config_uri: the ini file, as an absolute path.
    :param through: calls a function with a request that goes through the application.
    :param now: the current instant.
    :param root: the folder that has ``etc`` and ``var``.
    :param crontab: the command that prints the account's own crontab with ``-l``.
    """

    registry: Any
    address: Address | None
    own: Address | None
    config_uri: str
    through: Callable[[Callable[[Any], None]], None]
    now: datetime
    root: Path
    crontab: str

    @property
    def settings(self) -> Settings:
        """The settings of the application."""
        settings: Settings = self.registry['cron_settings']
        return settings


def examine(setup: Setup) -> Iterator[Finding]:
    """Yield what is found. A check that ends with an error is a finding itself."""
    account = machine.account_name()
    triggers: list[crontab_check.Trigger] = []
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        answers.TOPIC: lambda: _check_request(setup, account),
        crontab_check.TOPIC: lambda: _check_crontabs(setup, account, triggers),
        'account': lambda: iter([machine.examine_account(account, [trigger.line.account for trigger in triggers])]),
        'zone': lambda: machine.examine_zone(setup.settings, os.environ, setup.now),
        'store': lambda: _check_store(setup),
        'queue': lambda: examine_queues(setup.registry),
    }
    for topic, check in checks.items():
        try:
            yield from check()
        except Exception as exc:
            yield Finding(FAIL, topic, f'it cannot be checked: {class_name(exc)}: {message(exc)}')


def _check_request(setup: Setup, account: str) -> Iterator[Finding]:
    if setup.address is None:
        yield Finding(
            FAIL,
            answers.TOPIC,
            'nothing was requested: the address of the server is neither in the section [server:main] nor in cron.url',
            'name it, as in pcron doctor CONFIG_URI http://localhost:6543/cron',
        )
        return
    sent = _request_of(setup, setup.address, account)
    yield _send(sent._replace(sent_secret=setup.settings.secret is not None), setup.settings.secret, account)


def _request_of(setup: Setup, address: Address, account: str) -> answers.SentRequest:
    return answers.SentRequest(
        address,
        app_name(setup.settings, setup.registry),
        cron_path(setup.registry),
        account,
        own=setup.own if setup.own is not None and setup.own.end != address.end else None,
    )


def _send(sent: answers.SentRequest, secret: bytes | None, account: str, from_low_port: bool = True) -> Finding:
    """Send a request as the account that it names.

    :param account: the account of this process, which has to be root for another one.
    :param from_low_port: whether root connects from a port below 1024.
    """
    address = sent.address
    if secret is not None and address.scheme == 'http' and not address.is_this_machine:
        return answers.not_sent(sent)
    uid = None if sent.account == account else machine.uid_of(sent.account)
    low = from_low_port and uid is None and address.is_loopback and machine.is_root()
    try:
        answer = request.send(address, secret, from_low_port=low, uid=uid)
    except (OSError, http.client.HTTPException) as exc:
        return answers.no_answer(sent, exc)
    return answers.interpret(sent, answer)


def _check_crontabs(setup: Setup, account: str, triggers: list[crontab_check.Trigger]) -> Iterator[Finding]:
    """Yield what is found about the lines of crontabs, with a request to each further address of this machine in them.

    :param triggers: a list to which the lines are added.
    """
    application = crontab_check.Application(
        cron_path(setup.registry),
        setup.config_uri,
        setup.settings.secret,
        account,
        setup.registry['cron_store'] is not None,
        machine.is_root(),
    )
    crontabs, unreadable = read_crontabs(account, setup.root, setup.crontab)
    environment = read_environment(setup.root)
    lines = [line for crontab in crontabs for line in lines_of(crontab, environment)]
    triggers += crontab_check.triggers_of(lines, application)
    yield from crontab_check.examine_triggers(triggers, application, unreadable, has_mail(setup.root))
    yield from _check_line_addresses(setup, account, triggers)


def _check_line_addresses(setup: Setup, account: str, triggers: Sequence[crontab_check.Trigger]) -> Iterator[Finding]:
    """Yield what the servers of this machine answer that lines request: as root, to the accounts of the lines."""
    by_account = machine.is_root() and setup.settings.secret is None
    ours = {address.end for address in (setup.address, setup.own) if address is not None}
    paths = {cron_path(setup.registry), *([] if setup.address is None else [setup.address.path])}
    seen = set() if setup.address is None else {(str(setup.address), account, True)}
    for trigger in triggers:
        line, address = trigger.line, trigger.address
        if address is None or not address.is_loopback:
            continue
        if address.path not in paths and address.end not in ours:
            # of another application, which may run something
            continue
        sender = line.account if by_account else account
        # any other account than root has no such port
        low = sender != 'root' or trigger.options.has('local-port')
        if (str(address), sender, low) in seen:
            continue
        seen.add((str(address), sender, low))
        # without the secret, which another application could be there to read
        sent = _request_of(setup, address, sender)._replace(line_sends_header=trigger.sends_header)
        try:
            found = _send(sent, None, account, low)
        except LookupError:
            found = Finding(FAIL, crontab_check.TOPIC, f'there is no account {sender}, and cron ignores the line')
        yield found._replace(text=f'{line.place}: {found.text}')


def _check_store(setup: Setup) -> Iterator[Finding]:
    if setup.registry['cron_store'] is None:
        yield Finding(OK, 'store', 'cron.store is not set, so that no ticks, runs and pauses are remembered')
        return
    # needs what the extra installs
    from pyramid_cron.doctor.store import examine_store

    yield from examine_store(setup.registry, setup.through, setup.config_uri)
