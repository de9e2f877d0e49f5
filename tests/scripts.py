"""A script on the API: a client with a token, and what an error looks like to it."""

from typing import Any

from django.test import Client

from studio.models import ApiToken


class Script(Client):
    """Sends JSON with the person's token."""

    def __init__(self, user: Any, *, scope: str = "write", **headers: str) -> None:
        token = ApiToken.issue(user, scope=scope)
        super().__init__(headers={"authorization": f"Bearer {token}", **headers})

    def post(self, path: str, data: Any = None, **named: Any) -> Any:
        """Without data it has no body, as a script sends it; Django's client would send an empty form."""
        if data is None:
            return self.generic("POST", path, **named)
        return super().post(path, data, **named)

    def send(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """One call; `key` is its Idempotency-Key."""
        headers = {"idempotency-key": key} if key else {}
        send = getattr(self, method)
        if body is None:
            return send(path, headers=headers)
        return send(path, body, content_type="application/json", headers=headers)


def assert_error(reply: Any, status: int, code: str = "") -> dict[str, Any]:
    """The reply is an error in the API's one shape; its body."""
    assert reply.status_code == status, reply.content
    assert reply["Content-Type"].startswith("application/json")
    body: dict[str, Any] = reply.json()
    assert body.keys() >= {"error", "message", "fields"}
    assert body["message"].strip()
    assert not code or body["error"] == code
    return body


def assert_field(reply: Any, name: str) -> None:
    """The reply is 422 and names that one field."""
    assert list(assert_error(reply, 422)["fields"]) == [name]
