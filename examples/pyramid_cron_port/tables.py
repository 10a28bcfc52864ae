"""Make the tables: ``python -m pyramid_cron_port.tables examples/port.ini``, with rows to look at after ``--rows``."""

import sys
from datetime import timedelta

from pyramid.paster import get_app
from sqlalchemy.orm import Session

from pyramid_cron_port.models import Account, Base, Token
from pyramid_cron_port.tasks import now


def make_rows(engine):
    """Make an account with a token that expires soon, and one with a token that expired long ago."""
    with Session(engine) as session, session.begin():
        for number, days in enumerate([3, -30], start=1):
            session.add(Account(id=number, email=f'account{number}@example.com'))
            session.flush()
            session.add(Token(account_id=number, expires=now() + timedelta(days=days)))


if __name__ == '__main__':
    engine = get_app(sys.argv[1]).registry['engine']
    Base.metadata.create_all(engine)
    if '--rows' in sys.argv:
        make_rows(engine)
