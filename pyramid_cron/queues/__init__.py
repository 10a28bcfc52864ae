"""Engines that runs are enqueued with, each imported only where a task or ``cron.via`` names it."""

from pyramid_cron.queues.handover import Handover

__all__ = ['Handover']
