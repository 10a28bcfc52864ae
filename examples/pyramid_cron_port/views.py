"""A page that queues a task for a visitor, as before."""

from pyramid_cron_port.tasks import revoke_tokens


def revoke(request):
    request.task(revoke_tokens).delay(int(request.matchdict['account']))
    return 'The tokens will be revoked.\n'


def includeme(config):
    config.add_route('revoke', '/accounts/{account:\\d+}/revoke', request_method='POST')
    config.add_view(revoke, route_name='revoke', renderer='string')
