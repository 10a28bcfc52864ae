"""Controls: each takes out one protection, in the process of a server, and has to be found.

A control returns the settings that it changes, if any.
"""

import os


def root_from_any_port():
    """Trust root whatever its port is, as the forwarders that run as root connect from."""
    from pyramid_cron.access import accounts

    accounts.FIRST_UNPRIVILEGED_PORT = 65536


def unknown_port():
    """Let the address decide where the server does not set the port."""
    from pyramid_cron.access import accounts

    accounts._unknown_port = lambda why: None


def any_match():
    """Trust a connection if any one is trusted of those that share its port, whichever this process holds."""
    from pyramid_cron.access import peers

    find_owners = peers.find_owners

    def find_trusted(*arguments):
        owners = find_owners(*arguments)
        own = owners.uids & {os.geteuid()}
        return owners._replace(uids=own or owners.uids)

    peers.find_owners = find_trusted
    peers._own_sockets = set


def address_alone():
    """Let the address decide on every server."""
    return {'default': {'cron.peer_check': 'off'}}


def no_secret():
    """Serve without the secret."""
    return {'secret': {}}


def all_refused():
    """Refuse the server's account as well."""
    return {'default': {'cron.allowed_ips': '192.0.2.1'}}


CONTROLS = {
    function.__name__: function
    for function in (root_from_any_port, unknown_port, any_match, address_alone, no_secret, all_refused)
}
