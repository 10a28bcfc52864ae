"""Whether a request of another account triggers a run: ``python -m tests.doors --help``.

Each server of this machine serves an application, bare and behind each proxy and forwarder, and accounts request a tick
from it with and without forged headers. No request may pass by default but those of the server's account, those of root
from a port below 1024, and what a process of the server's account passes on; with a secret, none without it.
"""
