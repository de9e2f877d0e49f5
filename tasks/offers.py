"""Which models OpenCode says it has: the app of the sessions hands its knowledge in, as tasks does not import it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple


class Offer(NamedTuple):
    """The ids, each as provider/model, and when OpenCode named them: None while the set-up of now was not read yet. `trouble` says
    why it cannot be.
    """

    models: tuple[str, ...] = ()
    read_at: datetime | None = None
    trouble: str = ""

    @property
    def empty(self) -> str:
        """Why there is nothing to choose from; empty where there is."""
        if self.trouble or self.models:
            return self.trouble
        if self.read_at:
            return "OpenCode named no model when it was asked last."
        return "OpenCode has not named its models yet: that comes with the next session that starts an agent."

    def doubts(self, names: Iterable[str]) -> list[str]:
        """A sentence for each of these models that OpenCode did not name; none while that is not known."""
        if self.read_at is None:
            return []
        unknown = dict.fromkeys(name for name in names if name and name not in self.models)
        return [f"OpenCode did not name {name} among its models; is it spelt so?" for name in unknown]


def _nothing() -> Offer:
    return Offer()


known: Callable[[], Offer] = _nothing
