"""The rules of access by the settings: for a trigger, and for a reader of health and metrics."""

from __future__ import annotations

from dataclasses import replace

from pyramid_cron.access.rules import READING_METHODS, TO_READ, Rules
from pyramid_cron.settings import Settings


def trigger_rules(settings: Settings) -> Rules:
    """Return the rules for a request that triggers a run."""
    return Rules(settings.secret, settings.allowed_ips, settings.peer_check)


def reading_rules(settings: Settings) -> list[Rules]:
    """Return the rules for a request for health or metrics, which has to comply with one of them."""
    rules = [trigger_rules(settings)]
    if settings.monitor_secret is not None or settings.monitor_ips is not None:
        of_monitor = Rules(
            settings.monitor_secret,
            settings.monitor_ips,
            peer_check=False,
            secret_setting='cron.monitor_secret',
            ips_setting='cron.monitor_ips',
        )
        # before the others, which may have to look up an account
        rules.insert(0, of_monitor)
    return [replace(each, methods=READING_METHODS, purpose=TO_READ) for each in rules]
