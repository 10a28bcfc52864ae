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
from pyramid_cron.doctor.crontab_files import CRONTAB, ROOT, has_mail, read_crontabs, read_environment
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
    root: Path = ROOT
    crontab: str = CRONTAB

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
        answers.TOPIC: lambda: _of_request(setup, account),
        crontab_check.TOPIC: lambda: _of_crontabs(setup, account, triggers),
        'account': lambda: iter([machine.examine_account(account, [trigger.line.account for trigger in triggers])]),
        'zone': lambda: machine.examine_zone(setup.settings, os.environ, setup.now),
        'store': lambda: _of_store(setup),
        'queue': lambda: examine_queues(setup.registry),
    }
    for topic, check in checks.items():
        try:
            yield from check()
        except Exception as exc:
            yield Finding(FAIL, topic, f'it cannot be checked: {class_name(exc)}: {message(exc)}')


def _of_request(setup: Setup, account: str) -> Iterator[Finding]:
    if setup.address is None:
        yield Finding(
            FAIL,
            answers.TOPIC,
            'nothing was requested: the address of the server is neither in the section [server:main] nor in cron.url',
            'name it, as in pcron doctor CONFIG_URI http://localhost:6543/cron',
        )
        return
    yield _ask(setup, setup.address, account, setup.settings.secret)


def _ask(setup: Setup, address: Address, account: str, secret: bytes | None) -> Finding:
    question = answers.Question(
        address,
        app_name(setup.settings, setup.registry),
        cron_path(setup.registry),
        account,
        sent_secret=secret is not None,
        own=setup.own if setup.own is not None and setup.own.end != address.end else None,
    )
    if secret is not None and address.scheme == 'http' and not address.is_own:
        return answers.not_sent(question)
    # as the crontab line of root
    low = address.is_loopback and hasattr(os, 'geteuid') and os.geteuid() == 0
    try:
        answer = request.send(address, secret, from_low_port=low)
    except (OSError, http.client.HTTPException) as exc:
        return answers.no_answer(question, exc)
    return answers.judge(question, answer)


def _of_crontabs(setup: Setup, account: str, triggers: list[crontab_check.Trigger]) -> Iterator[Finding]:
    """Yield what is found about the lines of crontabs, with a request to each further address of this machine in them.

    :param triggers: a list to which the lines are added.
    """
    application = crontab_check.Application(
        cron_path(setup.registry),
        setup.config_uri,
        setup.settings.secret,
        account,
        setup.registry['cron_store'] is not None,
    )
    crontabs, unreadable = read_crontabs(account, setup.root, setup.crontab)
    environment = read_environment(setup.root)
    lines = [line for crontab in crontabs for line in lines_of(crontab, environment)]
    triggers += crontab_check.triggers_of(lines, application)
    yield from crontab_check.examine(triggers, application, unreadable, has_mail(setup.root))
    yield from _of_their_addresses(setup, account, triggers)


def _of_their_addresses(setup: Setup, account: str, triggers: Sequence[crontab_check.Trigger]) -> Iterator[Finding]:
    seen = set() if setup.address is None else {setup.address.end}
    for trigger in triggers:
        address = trigger.address
        if address is None or not address.is_loopback or address.end in seen:
            continue
        seen.add(address.end)
        # without the secret, which another application could be there to read
        found = _ask(setup, address, account, None)
        if trigger.sends_header and found.text.startswith(f'{address} refuses requests {answers.WITHOUT_SECRET}'):
            found = Finding(OK, answers.TOPIC, f'{address} requires a secret, and the line sends a header')
        yield found._replace(text=f'{trigger.line.place}: {found.text}')


def _of_store(setup: Setup) -> Iterator[Finding]:
    if setup.registry['cron_store'] is None:
        yield Finding(OK, 'store', 'cron.store is not set, so that no ticks, runs and pauses are remembered')
        return
    # needs what the extra installs
    from pyramid_cron.doctor.store import examine_store

    yield from examine_store(setup.registry, setup.through)
