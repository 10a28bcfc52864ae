# gunicorn on a unix socket: gunicorn --paste /etc/demo/production.ini -c /etc/demo/gunicorn-unix.conf.py
#
# A client of a unix socket has no address that pyramid_cron could allow: set cron.secret, and send it as
# unix-socket.crontab does.

bind = 'unix:/run/demo/demo.sock'
# the group of the proxy may connect, everybody else may not
umask = 0o007
worker_class = 'gthread'
threads = 4
# gunicorn kills a worker that is silent for this long, with the tasks in it: set more than the longest run takes.
# (Workers of the class gthread are not silent while a task runs. So this matters most for the class sync.)
timeout = 120
