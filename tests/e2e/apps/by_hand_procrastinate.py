"""The procrastinate application beside ``by_hand.py``."""

import os

import procrastinate

from pyramid_cron.queues.procrastinate import add_perform

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ['DATABASE']))
add_perform(app, 'shop.ini')
