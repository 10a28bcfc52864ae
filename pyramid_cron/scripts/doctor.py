"""The command ``pcron doctor``: what keeps the tasks of an application from running, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from configparser import InterpolationError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyramid.router import Router

from pyramid_cron.orders import call_through, cron_path
from pyramid_cron.printable import message
from pyramid_cron.scripts.arguments import is_url
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError

if TYPE_CHECKING:
    from pyramid_cron.doctor.address import Address

SERVER = 'server:main'


class DoctorCommand(Command):
    """The command that checks a set-up."""

    #: the folder with the crontabs of the machine, and the command that prints that of this account
    root = Path('/')
    crontab = 'crontab'

    def examine(self) -> int:
        """Check the set-up, and print what is found."""
        # slow to import, and needed by no other command
        from pyramid_cron.doctor.findings import FAIL
        from pyramid_cron.doctor.setup import Setup, examine

        address, own = self._addresses()
        setup = Setup(
            self.registry, address, own, self._config_uri(), self._through, self.now(), self.root, self.crontab
        )
        found = []
        for finding in examine(setup):
            found.append(finding)
            if not self.args.json:
                start = f'{finding.status:4}  {finding.topic:8}  '
                self.out('\n'.join(wrap(start, str(finding), self.width())))
        failed = any(finding.status == FAIL for finding in found)
        if self.args.json:
            self.out(json.dumps({'ok': not failed, 'findings': [finding._asdict() for finding in found]}, indent=2))
        return 1 if failed else 0

    def _config_uri(self) -> str:
        uri: str = self.args.config_uri
        return os.path.abspath(uri)

    def _through(self, call: Callable[[Any], None]) -> None:
        call_through(self.app, self.registry, call)

    def _addresses(self) -> tuple[Address | None, Address | None]:
        """Return where the request is sent to, and where the application server listens.

        :raises UsageError: for a bad URL, for several, and if a variable of the section is missing.
        """
        from pyramid_cron.doctor.address import of_base_url, of_server, parse_url, prefix_of

        url = self.settings.url
        # one that is not mounted by Paste's urlmap finds the path that its proxy has cut
        path = ('' if isinstance(self.app, Router) else prefix_of(url)) + cron_path(self.registry)
        own = of_server(self._server_section(), path)
        urls = [word for word in self.args.words if is_url(word)]
        if len(urls) > 1:
            raise UsageError(f'name one URL, not {len(urls)}')
        try:
            given = parse_url(urls[0], path) if urls else None
        except ValueError as exc:
            raise UsageError(exc) from None
        return given or own or (None if url is None else of_base_url(url, cron_path(self.registry))), own

    def _server_section(self) -> Mapping[str, str]:
        if SERVER not in self.loader.get_sections():
            return {}
        try:
            section: Mapping[str, str] = self.loader.get_settings(SERVER, self.config_vars)
        except InterpolationError as exc:
            raise UsageError(f'{message(exc)}; name the variable, as in http_port=8080') from None
        return section
