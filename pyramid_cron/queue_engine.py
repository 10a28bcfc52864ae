"""The interface of a queue's engine: what enqueues the runs of a task for a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol


class MessageState(NamedTuple):
    """What an engine knows of the message of a queued run that no worker has begun.

    :param text: the same for people.
    :param waits: whether another message would be in vain, because this one waits, or was cancelled by a person.
    :param is_failed: whether a worker has taken it, and failed before it began the run.
    """

    text: str
    waits: bool = False
    is_failed: bool = False


class Engine(Protocol):
    """The engine of a task: enqueues its runs for a worker, made from ``via`` by the package ``queues``."""

    @property
    def within_claim(self) -> bool:
        """Whether a run is enqueued on the connection of the store, in the transaction of its claim."""

    @property
    def broker(self) -> object:
        """What receives its runs, equal for engines that stop answering together."""

    @property
    def is_limited(self) -> bool:
        """Whether it takes so many runs at once only: those for a minute that are more wait for a following tick."""

    def admit(self) -> AbstractContextManager[str | None]:
        """Make room for the run that is claimed and enqueued in the ``with``; its value is why there is none."""

    def __str__(self) -> str:
        """Return the name of the engine for logs and pages."""

    def key(self, run: Any) -> str:
        """Return the key of a :class:`.Run`, which its message carries."""

    def enqueue(self, run: Any) -> None:
        """Enqueue a :class:`.Run`, with an engine without ``within_claim``."""

    def enqueue_all(self, runs: Sequence[Any], connection: Any) -> None:
        """Enqueue runs with engines of the same broker, with ``within_claim``.

        :param connection: the connection of the claim.
        """

    def message_states(self, runs: Sequence[Any], connection: Any) -> Mapping[str, MessageState]:
        """Return what is known of the messages of queued runs, by the tokens of the runs.

        A run of which nothing is known is enqueued again.

        :param connection: a connection of the store, ``None`` for an engine without ``within_claim``.
        """
