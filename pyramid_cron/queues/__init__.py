"""Engines that tasks can be handed to: found by its name, where a task or ``cron.via`` asks for one."""

from pyramid_cron.queues.handover import Handover

__all__ = ['Handover']
