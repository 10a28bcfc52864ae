import os
from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator

from pyramid_cron.doctor import machine
from pyramid_cron.doctor.address import parse_url
from pyramid_cron.doctor.setup import Setup, examine
from tests.support.answering import answering

NOW = datetime(2026, 12, 24, tzinfo=timezone.utc)
SECRET = 'a secret of some length'
ALLOWED = 'ok: this request may run tasks, and has run none because of ?check; application shop'
NO_SECRET = 'fail: refused a request without the secret: send it'


@pytest.fixture
def found(tmp_path, engines):
    """Return a function that returns the findings of an application, by default without any crontab."""

    def run(url=None, lines='', settings=(), own=None, now=NOW):
        config = Configurator(settings={'cron.app': 'shop', 'cron.timezone': 'UTC', **dict(settings)})
        config.include('pyramid_cron')
        config.commit()
        if config.registry['cron_store'] is not None:
            engines(config.registry['cron_store'].database.engine)
        (tmp_path / 'usr/sbin').mkdir(parents=True)
        (tmp_path / 'usr/sbin/sendmail').touch()
        command = tmp_path / 'crontab'
        command.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
        command.chmod(0o755)
        address = None if url is None else parse_url(url, '/cron')
        other = None if own is None else parse_url(own, '/cron')
        setup = Setup(config.registry, address, other, '/shop.ini', print, now, tmp_path, str(command))
        findings = list(examine(setup))
        assert now is None or 'it cannot be checked' not in str(findings)
        return findings

    return run


def of(findings, topic):
    return [(finding.status, finding.text) for finding in findings if finding.topic == topic]


def url_of(server):
    return f'http://localhost:{server.server_port}/cron'


def test_an_address_is_needed(found):
    [finding] = [finding for finding in found() if finding.topic == 'request']
    assert (finding.status, 'http://localhost:6543/cron' in finding.remedy) == ('fail', True)


def test_a_sound_setup_is_ok(found):
    with answering(ALLOWED) as server:
        findings = found(url_of(server), f'* * * * * curl -fLm 300 -o /dev/null --local-port 600-1023 {url_of(server)}')
    assert {finding.status for finding in findings} == {'ok'}
    assert [finding.topic for finding in findings] == ['request', 'crontab', 'account', 'zone', 'store']
    assert len(server.seen) == 1
    assert (server.seen[0][2][1] < 1024) == (os.geteuid() == 0)


def test_no_server_is_found(found):
    with answering(ALLOWED) as server:
        pass
    assert of(found(url_of(server)), 'request') == [('fail', f'nothing listens at {url_of(server)}')]


def test_the_secret_is_sent_and_not_shown(found):
    with answering(ALLOWED) as server:
        findings = found(url_of(server), settings={'cron.secret': SECRET})
    assert server.seen[0][1]['Authorization'] == f'Bearer {SECRET}'
    assert of(findings, 'request')[0][0] == 'ok'
    assert SECRET not in str(findings)


def test_the_secret_is_not_sent_in_the_clear(found):
    [(status, text)] = of(found('http://192.0.2.1/cron', settings={'cron.secret': SECRET}), 'request')
    assert status == 'fail'
    assert text.startswith('http://192.0.2.1/cron is http to another machine')


def test_without_a_secret_another_machine_is_requested(found):
    # no connection leads there
    [(status, text)] = of(found('http://255.255.255.255/cron'), 'request')
    assert status == 'fail'
    assert text.startswith('http://255.255.255.255/cron cannot be reached: ')


def test_the_addresses_of_lines_are_requested(found):
    refusal = 'fail: refused a request through a proxy: request the application server itself'
    with answering(ALLOWED) as server, answering(refusal, 403) as proxy:
        lines = f'* * * * * curl -fLm 300 -o /dev/null {url_of(proxy)}\n' * 2 + '* * * * * pcron tick /shop.ini'
        findings = found(url_of(server), lines, own=url_of(server))
    assert len(proxy.seen) == 1
    [ok, failed] = [finding for finding in findings if finding.topic == 'request']
    assert ok.status == 'ok'
    assert failed.text.endswith(f'line 1: {url_of(proxy)} refuses requests through a proxy (403)')
    assert failed.remedy == f'request the application server itself; it listens at {url_of(server)}'


def test_lines_of_other_applications_are_not_requested(found):
    with answering(ALLOWED) as server, answering(ALLOWED) as other:
        billing = f'http://localhost:{other.server_port}/billing/cron'
        wrong = f'http://localhost:{server.server_port}/shop/cron'
        line = '* * * * * curl -fLm 300 -o /dev/null'
        findings = found(url_of(server), f'{line} {billing}\n{line} {wrong}\n')
    assert other.seen == []
    assert [path for path, _, _ in server.seen] == ['/cron?check', '/shop/cron?check']
    assert len(of(findings, 'request')) == 2


@pytest.fixture
def spool(tmp_path):
    """Return a function that writes the crontab of an account, as root reads it."""

    def write(account, url):
        folder = tmp_path / 'var/spool/cron/crontabs'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / account).write_text(f'* * * * * curl -fLm 300 -o /dev/null --local-port 600-1023 {url}\n' * 2)

    return write


@pytest.mark.skipif(os.geteuid() != 0, reason='only root has such ports')
def test_root_requests_from_the_ports_of_its_lines(found):
    with answering(ALLOWED) as server:
        url = url_of(server)
        line = '* * * * * curl -fLm 300 -o /dev/null'
        found(url, f'{line} {url}\n{line} --local-port 600-1023 {url}\n')
    assert [client[1] < 1024 for _, _, client in server.seen] == [True, False]


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can act as another account')
def test_root_requests_as_the_accounts_of_lines(found, spool):
    with answering(ALLOWED) as server:
        spool('root', url_of(server))
        spool('nobody', url_of(server))
        findings = found(url_of(server))
    assert [client[1] < 1024 for _, _, client in server.seen] == [True, False]
    assert of(findings, 'request')[1] == (
        'ok',
        f'the crontab of nobody, line 1: {url_of(server)} allows nobody to run the tasks of shop',
    )


def test_with_a_secret_the_account_does_not_matter(found, spool):
    with answering(ALLOWED) as server:
        spool('nobody', url_of(server))
        spool('root', url_of(server))
        found(url_of(server), settings={'cron.secret': SECRET})
    assert len(server.seen) == 1


def test_cron_ignores_lines_of_no_account(found, spool, monkeypatch):
    # also where another account runs the tests: the crontabs are those of this test
    monkeypatch.setattr(machine, 'is_root', lambda: True)
    with answering(ALLOWED) as server:
        spool('no-such-account', url_of(server))
        findings = found()
    assert server.seen == []
    assert of(findings, 'crontab')[-1] == (
        'fail',
        'the crontab of no-such-account, line 1: there is no account no-such-account, and cron ignores the line',
    )


def test_lines_get_no_secret_of_this_application(found):
    with answering(NO_SECRET, 401) as server:
        lines = (
            f'* * * * * curl -fLm 300 -o /dev/null -H @.cron-header {url_of(server)}\n* * * * * pcron tick /shop.ini'
        )
        findings = found(None, lines, settings={'cron.secret': SECRET})
    assert 'Authorization' not in server.seen[0][1]
    _, (status, text) = of(findings, 'request')
    assert status == 'ok'
    assert text.endswith(f'{url_of(server)} requires a secret, and the line sends a header')


def test_other_machines_of_lines_are_not_requested(found):
    findings = found(None, '* * * * * curl -fLm 300 -o /dev/null https://192.0.2.1/cron')
    assert len(of(findings, 'request')) == 1


def test_a_store_is_checked(found, tmp_path):
    findings = found(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    assert of(findings, 'database')[0][0] == 'ok'
    assert of(findings, 'ticks') == [('fail', 'no tick has come yet')]


def test_a_check_that_ends_with_an_error_is_a_finding(found):
    # no instant, which stands for a mistake of ours
    findings = found(now=None)
    assert of(findings, 'zone')[0][1].startswith('it cannot be checked: AttributeError: ')
    assert findings[-1].topic == 'store'
