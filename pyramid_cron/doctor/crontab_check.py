"""Checks the lines of crontabs that trigger an application: a text in, findings out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyramid_cron.access.accounts import FIRST_UNPRIVILEGED_PORT, LOCAL_PORTS
from pyramid_cron.doctor.address import Address, parameters_of, parse_url
from pyramid_cron.doctor.crontab_lines import Line
from pyramid_cron.doctor.findings import FAIL, OK, WARN, Finding
from pyramid_cron.doctor.shell_commands import NULL, Options, ShellCommand, commands_of, options_of
from pyramid_cron.query_parameters import CHECK, QUIET

TOPIC = 'crontab'
CRONTAB_LINE = 'the line of docs/machine.rst'
FAIL_OPTIONS = ('fail', 'fail-with-body')
SECRET_OPTIONS = ('header', 'config', 'oauth2-bearer')
PROXY_VARIABLES = ('http_proxy', 'all_proxy', 'ALL_PROXY')
NO_PROXY_VARIABLES = ('no_proxy', 'NO_PROXY')


# not a named tuple: tools that record errors show its items
@dataclass(frozen=True)
class Application:
    """What the lines of an application are examined by.

    :param path: the path of the trigger.
    :param config_uri: the ini file, as an absolute path.
    :param secret: ``cron.secret``.
    :param account: the account that examines them.
    :param has_store: whether ``cron.store`` is set.
    :param is_root: whether that account can send requests as others.
    """

    path: str
    config_uri: str
    secret: bytes | None = field(repr=False)
    account: str
    has_store: bool
    is_root: bool = False


class Trigger(NamedTuple):
    """A command of a crontab that triggers the application.

    :param line: its line.
    :param command: the command.
    :param options: its options, if it is curl or wget.
    :param address: where its request is sent to, ``None`` for ``pcron tick``.
    :param is_quiet: whether the answer is empty when all is well.
    :param is_check: whether nothing runs.
    """

    line: Line
    command: ShellCommand
    options: Options
    address: Address | None
    is_quiet: bool = True
    is_check: bool = False

    @property
    def prints(self) -> bool:
        """Whether it prints answers, which cron mails."""
        return not self.command.output and self.options.last('output') is None

    @property
    def sends_header(self) -> bool:
        """Whether it sends a header, which may be that with the secret."""
        return self.options.has(*SECRET_OPTIONS)


def triggers_of(lines: Iterable[Line], application: Application) -> Iterator[Trigger]:
    """Yield what triggers the application: requests to its path, and ``pcron tick`` with its ini file."""
    for line in lines:
        try:
            commands = list(commands_of(line.command))
        except ValueError:
            continue
        for command in commands:
            if command.program == 'pcron':
                if _ticks(command.words, application.config_uri):
                    yield Trigger(line, command, Options({}, ()), None)
                continue
            options = options_of(command)
            for url in options.urls:
                address = _address(url, options, application.path)
                if address is not None:
                    parameters = parameters_of(url)
                    yield Trigger(line, command, options, address, QUIET in parameters, CHECK in parameters)


def _ticks(words: Sequence[str], config_uri: str) -> bool:
    files = [word.partition('#')[0] for word in words[1:] if not word.startswith('-')]
    if words[:1] != ['tick'] or not files:
        return False
    ours = config_uri.partition('#')[0]
    # a relative path depends on a cd before it
    return files[0] == ours if os.path.isabs(files[0]) else os.path.basename(files[0]) == os.path.basename(ours)


def _address(url: str, options: Options, path: str) -> Address | None:
    try:
        address = parse_url(url if '://' in url else f'http://{url}', '/')
    except ValueError:
        return None
    if not address.path.endswith(path):
        return None
    return address._replace(unix_socket=options.last('unix-socket'))


def examine_triggers(
    triggers: Sequence[Trigger], application: Application, unreadable: Sequence[str] = (), has_mail: bool = True
) -> Iterator[Finding]:
    """Yield what is found about the lines that trigger an application.

    :param unreadable: the names of crontabs that could not be read.
    :param has_mail: whether cron has a program to send its mail with.
    """
    if not triggers:
        where = f'; not readable: {", ".join(unreadable)}' if unreadable else ''
        yield Finding(
            WARN,
            TOPIC,
            f'no line of a crontab that {application.account} can read requests {application.path} or calls '
            f'pcron tick{where}',
            f'add {CRONTAB_LINE}, unless something else triggers the application',
        )
    for trigger in triggers:
        problems = list(_examine_trigger(trigger, application))
        yield from problems
        if not problems:
            what = trigger.command.program if trigger.address else 'pcron tick'
            yield Finding(OK, TOPIC, f'{trigger.line.place}: {what} as {trigger.line.account}')
    if not has_mail and any(trigger.prints or not trigger.command.errors for trigger in triggers):
        yield Finding(
            WARN,
            TOPIC,
            'there is no /usr/sbin/sendmail, by which cron would mail errors',
            'install a mail server, or write >>FILE 2>&1 at the end of the line',
        )
    kinds = {trigger.address is None for trigger in triggers}
    if len(kinds) == 2 and not application.has_store:
        yield Finding(
            FAIL,
            TOPIC,
            'there are lines with pcron tick and with a request: without a store each runs what is due',
            'leave one of them out, or set cron.store',
        )


def _examine_trigger(trigger: Trigger, application: Application) -> Iterator[Finding]:
    line, command = trigger.line, trigger.command

    def finding(status: str, text: str, remedy: str) -> Finding:
        return Finding(status, TOPIC, f'{line.place}: {text}', remedy)

    if line.problem is not None:
        text, _, remedy = line.problem.rpartition(': ')
        yield finding(FAIL, text, remedy)
    if not line.is_each_minute:
        yield finding(
            WARN, f'it runs at {line.schedule}, and what is due at other minutes is late or missed', 'write * * * * *'
        )
    if command.errors == NULL:
        yield finding(FAIL, 'it throws errors away', 'remove the redirection of standard error to /dev/null')
    elif line.variables.get('MAILTO') == '':
        yield finding(WARN, 'MAILTO is empty, so that cron mails no error', 'set it to an address')
    if trigger.address is None:
        return
    examine_command = _examine_curl if command.program == 'curl' else _examine_wget
    for status, text, remedy in examine_command(trigger):
        yield finding(status, text, remedy)
    for status, text, remedy in _examine_url(trigger, trigger.address, application):
        yield finding(status, text, remedy)


Problems = Iterator[tuple[str, str, str]]


def _examine_curl(trigger: Trigger) -> Problems:
    options = trigger.options
    if not options.has(*FAIL_OPTIONS):
        yield (
            FAIL,
            'curl has no -f, so that a refusal and a task that failed look like success',
            'add --fail-with-body (curl 7.76 or later) or -f',
        )
        return
    if options.has('silent') and not options.has('show-error'):
        yield FAIL, 'curl -s shows no error, and cron mails nothing', 'write -sS'
    if trigger.is_check:
        yield FAIL, 'it requests ?check, after which nothing runs', 'remove check from the URL'
    if options.has('head') or options.last('request') not in (None, 'GET', 'POST'):
        yield FAIL, 'its method runs nothing', 'remove -I or -X'
    if not options.has('location'):
        yield WARN, 'curl takes a redirect for success', f'add -L, as in {CRONTAB_LINE}'
    if not options.has('max-time'):
        yield WARN, 'curl waits for ever for a server that hangs', f'add -m 300, as in {CRONTAB_LINE}'
    if trigger.prints and not trigger.is_quiet:
        yield WARN, 'cron mails the answer of each minute', f'request ?quiet, as in {CRONTAB_LINE}'


def _examine_wget(trigger: Trigger) -> Problems:
    if trigger.options.has('quiet'):
        yield FAIL, 'wget -q shows no error, and cron mails nothing', 'use curl -sS --fail-with-body, or wget -nv'
    if not trigger.options.has('output-document'):
        yield WARN, 'wget writes a file in each minute', 'add -O /dev/null'
    if trigger.options.last('max-redirect') != '0':
        yield WARN, 'wget follows a redirect, and takes a page for success', 'add --max-redirect=0'


def _examine_url(trigger: Trigger, address: Address, application: Application) -> Problems:
    line, options, secret = trigger.line, trigger.options, application.secret
    if options.has('proxy'):
        yield FAIL, 'the request goes to a proxy', 'remove -x or --proxy'
    proxies = [name for name in PROXY_VARIABLES if line.variables.get(name)]
    if proxies and not (options.has('noproxy') or any(map(line.variables.get, NO_PROXY_VARIABLES))):
        yield FAIL, f'{proxies[0]} is set, and the request goes to that proxy', "add --noproxy '*'"
    if secret is not None:
        if not trigger.sends_header:
            yield FAIL, 'cron.secret is set, and it sends no header', 'add -H @.cron-header (docs/security.rst)'
        elif secret.decode('utf-8', 'replace') in line.command:
            yield WARN, 'the secret is on the command line, which ps shows to all', 'write -H @FILE'
        if address.scheme == 'http' and not address.is_this_machine:
            yield FAIL, f'it sends the secret over http to {address.host}', 'use https, or request localhost'
    elif not address.is_loopback:
        yield (
            WARN,
            f'it requests {address.host}, and without cron.secret this machine is only allowed as localhost',
            'request http://localhost with the port of the application server',
        )
    elif line.account == 'root' and not options.has('local-port') and not application.is_root:
        yield (
            WARN,
            f'root is trusted from ports below {FIRST_UNPRIVILEGED_PORT} only, unless the server runs as root',
            f'add --local-port {LOCAL_PORTS}',
        )
    elif line.account != application.account and not application.is_root:
        yield (
            WARN,
            f'it runs as {line.account}, and {application.account} cannot check that',
            f'check it as {line.account} or set cron.secret',
        )
