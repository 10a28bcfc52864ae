"""The Celery application beside ``by_hand.py``."""

import os

import celery

from pyramid_cron.queues.celery import add_perform

app = celery.Celery('shop', broker=os.environ['BROKER'])
app.conf.worker_hijack_root_logger = False
add_perform(app, 'shop.ini')
