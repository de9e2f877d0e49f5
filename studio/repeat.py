"""`Idempotency-Key`: a request that is sent again, since its answer was lost, hears the first answer and does nothing."""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.db import transaction
from django.http import HttpRequest
from ninja.responses import Status

from studio.errors import Invalid
from studio.models import KeptReply

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")

View = TypeVar("View", bound=Callable[..., Any])

DOCUMENTED = {
    "parameters": [
        {
            "in": "header",
            "name": HEADER,
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "Sent again with the same key, the request is not done twice: the first reply comes back.",
        }
    ]
}


def repeatable(view: View) -> View:
    """Keep the view's reply for the caller's key. The view returns `Status(code, JSON)`; what it raises is not kept."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        return view(request, *args, **kwargs) if key is None else _once(key, view, request, args, kwargs)

    return answer  # type: ignore[return-value]


def _once(key: str, view: Callable[..., Any], request: HttpRequest, args: Any, kwargs: Any) -> Any:
    if not KEY.fullmatch(key):
        raise Invalid("The key is wrong.", fields={HEADER: "1 to 200 visible ASCII characters."})
    digest = hashlib.sha256(request.body).hexdigest()
    with transaction.atomic():
        # The row is taken before the verb runs, so that of two requests at once the later waits here for the earlier
        # one's end: on SQLite for its transaction, on PostgreSQL for the unique index.
        kept, fresh = KeptReply.objects.get_or_create(
            user_id=request.user.pk, key=key, path=request.path[:300], defaults={"status": 0, "body": {}}
        )
        if not fresh:
            if kept.body["request"] != digest:
                raise Invalid(
                    "That key was used for another request.",
                    code="key_reused",
                    fields={HEADER: "Used before."},
                )
            return Status(kept.status, kept.body["reply"])
        reply: Status[Any] = view(request, *args, **kwargs)
        kept_reply = {"status": reply.status_code, "body": {"request": digest, "reply": reply.value}}
        KeptReply.objects.filter(pk=kept.pk).update(**kept_reply)
    return reply
