"""The rules that follow from the settings."""

from ipaddress import ip_network

from pyramid_cron.access.policy import reading_rules, trigger_rules
from pyramid_cron.access.rules import TO_READ, Rules
from pyramid_cron.settings import Settings

SECRET, MONITOR_SECRET = 'sixteen chars 16', 'seventeen chars 17'
LOOPBACK = (ip_network('127.0.0.1'), ip_network('::1'))


def test_a_trigger_needs_address_and_account_by_default():
    assert trigger_rules(Settings.parse({})) == Rules(None, LOOPBACK, True)


def test_a_secret_replaces_the_addresses():
    assert trigger_rules(Settings.parse({'cron.secret': SECRET})) == Rules(SECRET.encode(), None)


def test_the_check_of_the_account_can_be_left_out():
    assert not trigger_rules(Settings.parse({'cron.peer_check': 'off'})).peer_check


def test_a_reader_complies_with_the_rules_of_a_trigger():
    [rules] = reading_rules(Settings.parse({}))
    assert rules == Rules(None, LOOPBACK, True, ('GET', 'HEAD'), TO_READ)


def test_the_rules_of_a_monitor_come_first():
    for settings, secret, networks in (
        ({'cron.monitor_secret': MONITOR_SECRET}, MONITOR_SECRET.encode(), None),
        ({'cron.monitor_ips': '::1'}, None, LOOPBACK[1:]),
    ):
        of_monitor, of_trigger = reading_rules(Settings.parse({'cron.secret': SECRET, **settings}))
        assert (of_monitor.secret, of_monitor.allowed_ips, of_monitor.peer_check) == (secret, networks, False)
        assert of_monitor.secret_setting == 'cron.monitor_secret'
        assert of_trigger.secret == SECRET.encode()
        assert (of_monitor.methods, of_monitor.purpose) == (of_trigger.methods, of_trigger.purpose)
