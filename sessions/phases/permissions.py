"""What people allowed, as permission rules for the configuration of the next server."""

from collections.abc import Iterable
from typing import Any

from sessions.models import Request, Session

Rules = dict[str, dict[str, str]]


def granted(session: Session) -> Rules:
    """`{class: {pattern: "allow"}}`: for the whole attempt what was allowed lastingly, and for this session what was allowed once, while
    no OpenCode was there to hear it. What OpenCode heard itself was used up there."""
    allowed = Request.objects.filter(
        kind=Request.Kind.PERMISSION, state=Request.State.ANSWERED, session__attempt=session.attempt_id
    )
    own = {each.pk for each in session.lineage}
    rules: Rules = {}
    for request in allowed.order_by("answered_at", "pk"):
        reply = (request.answer or {}).get("reply")
        unheard = request.session_id in own and request.delivery != Request.Delivery.REPLY
        if reply == "always":
            patterns = _texts(request.body.get("always")) or exact(request.body.get("patterns"))
        elif reply == "once" and unheard:
            patterns = exact(request.body.get("patterns"))
        else:
            continue
        rules.setdefault(str(request.body.get("permission")), {}).update(dict.fromkeys(patterns, "allow"))
    return rules


def exact(patterns: Any) -> list[str]:
    """Patterns that match these texts alone: a rule knows no escape for `*`, but `?` stands for one letter only."""
    return [text.replace("*", "?") for text in _texts(patterns)]


def _texts(values: Iterable[Any] | None) -> list[str]:
    return [str(value) for value in values or ()]
