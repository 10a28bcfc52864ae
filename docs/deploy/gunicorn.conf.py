# /etc/demo/gunicorn.conf.py: gunicorn behind nginx on the same machine.

bind = '127.0.0.1:6543'
# Two processes, so that one serves while the other starts. A store keeps a task from running in both.
workers = 2
# Each request has a thread. gunicorn does not kill a worker because of a slow request, as it does with sync workers.
worker_class = 'gthread'
threads = 4
# At SIGTERM and SIGHUP the requests in progress, ticks too, have this many seconds to end: as long as curl waits.
graceful_timeout = 300
