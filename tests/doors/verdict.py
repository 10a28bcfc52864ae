"""The property: which answers are wrong, and which are worth a line although they are right."""

from typing import NamedTuple

from .accounts import OWN
from .clients import Client

ALLOWED = 200

# findings; the first three are wrong
LET_IN = 'let in'
SHUT_OUT = 'shut out'
NO_ANSWER = 'no answer'
OWN_FRONT = "let in through the server's account"
BY_ADDRESS = 'let in by its address'
WRONG = (LET_IN, SHUT_OUT, NO_ANSWER)


class Cell(NamedTuple):
    """A request, and the status of its answer.

    :param through: the account of what connects to the server in place of the client, or ``None`` if nothing does.
    :param sets_port: whether the server sets the client's real port.
    """

    server: str
    front: str
    through: str | None
    setting: str
    client: Client
    status: int
    sets_port: bool

    def finding(self):
        """Return what is to be reported about this, or ``None``."""
        # an error shows nothing about the door; hypercorn has one for each HEAD
        if (self.status == 0 or self.status >= 500) and not self.client.closes:
            return NO_ANSWER
        if self.status == ALLOWED:
            return self._why_let_in()
        return SHUT_OUT if self._must_pass() else None

    def _why_let_in(self):
        if self.setting == 'secret':
            return None if self.client.sends_secret else LET_IN
        if self.client.trusted and not self.client.closes:
            return None
        if self.client.closes and self.through is None:
            return LET_IN
        if self.setting == 'unchecked':
            return BY_ADDRESS
        return OWN_FRONT if self.through == OWN else LET_IN

    def _must_pass(self):
        if self.setting == 'secret':
            return self.client.sends_secret
        if self.through is not None or not self.client.trusted:
            return False
        return self.setting == 'unchecked' or self.sets_port
