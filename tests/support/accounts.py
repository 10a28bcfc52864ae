"""The account and the folder of a database server that refuses to run as root."""

import os
import pwd
import tempfile
from pathlib import Path


def owned_folder(prefix):
    """Make a temporary folder for a server, and return it with the account's arguments for ``subprocess``.

    As root, the folder belongs to the account nobody; otherwise to the current account, which needs no arguments.
    """
    # /tmp and not pytest's own folder, because the path of a socket has to be short
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    account = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam('nobody')
        account = {'user': owner.pw_uid, 'group': owner.pw_gid, 'extra_groups': []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    # for processes that tests start under other accounts
    folder.chmod(0o755)
    return folder, account
