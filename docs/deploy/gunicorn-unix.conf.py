# gunicorn on a unix socket: gunicorn --paste /etc/demo/production.ini -c /etc/demo/gunicorn-unix.conf.py
#
# The peer of a unix socket has no address, so none is ever allowed: set cron.secret, and send it as unix-socket.crontab
# does.

bind = 'unix:/run/demo/demo.sock'
# the group of the proxy may connect, everybody else may not
umask = 0o007
worker_class = 'gthread'
threads = 4
# A worker that is silent for this long is killed, with the tasks in it: keep it above the longest run. (Threads report
# on their own while they work, so this matters most for the worker class sync.)
timeout = 120
