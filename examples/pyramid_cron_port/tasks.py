"""What is done: three functions that beat called, and two tasks of Celery that are queued by these and by views."""

import uuid
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path

from sqlalchemy import delete, func, select

from pyramid_cron_port.models import Account, Token

WEEK = timedelta(days=7)


class Busy(Exception):
    """What has to be changed cannot be changed now."""


def now():
    return datetime.now(timezone.utc)


def count_tokens(request):
    """Send the number of valid tokens to the metrics."""
    count = request.db.scalar(select(func.count()).select_from(Token).where(Token.expires > now()))
    request.metrics.gauge('tokens', count)


def remind(request):
    """Queue a mail for each account that has a token of the next seven days, once."""
    expiring = select(Token.account_id).where(Token.expires.between(now(), now() + WEEK))
    for account in request.db.scalars(select(Account).where(Account.reminded.is_(None), Account.id.in_(expiring))):
        request.task(send_mail).delay(account.email, 'A token of yours expires soon')
        account.reminded = now()


def send_mail(request, address, subject):
    """Write a mail into a folder, in place of a server for mails."""
    mail = EmailMessage()
    mail['To'], mail['Subject'] = address, subject
    folder = Path(request.registry.settings['mail.folder'])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{uuid.uuid4()}.eml').write_bytes(bytes(mail))
    request.metrics.increment('mails')


def purge_tokens(request):
    """Delete the tokens that expired a week ago."""
    lock_tokens(request)
    purged = request.db.execute(delete(Token).where(Token.expires < now() - WEEK))
    request.metrics.gauge('tokens_purged', purged.rowcount)


def revoke_tokens(request, account_id):
    """Delete all tokens of an account, for a view."""
    if request.read_only:
        raise Busy('read-only mode')
    lock_tokens(request)
    request.db.execute(delete(Token).where(Token.account_id == account_id))


def lock_tokens(request):
    """Keep others from deleting tokens until the transaction ends."""
    if not request.db.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext('tokens')))):
        raise Busy('another process deletes tokens')


def includeme(config):
    often = {'acks_late': True, 'retry_backoff': True, 'max_retries': 8}
    config.add_celery_task(send_mail, autoretry_for=(OSError,), **often)
    config.add_celery_task(revoke_tokens, autoretry_for=(Busy,), **often)
