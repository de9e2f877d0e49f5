"""What goes wrong in a way that a person can read and act on."""

from typing import Any


class Refusal(Exception):
    """A request that cannot be done. `code` is stable for scripts, `message` is a sentence for people.

    `status` is the HTTP status, `fields` maps an input's name to what is wrong with it, and `data` is added to the API's answer.
    """

    status = 400
    code = "bad_request"

    def __init__(
        self, message: str, *, code: str = "", fields: dict[str, str] | None = None, **data: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fields = fields or {}
        self.data = data


class Conflict(Refusal):
    """The state does not allow it (any more): HTTP 409."""

    status = 409
    code = "conflict"


class Unavailable(Refusal):
    """Studio cannot do it just now, and nothing was done: HTTP 503."""

    status = 503
    code = "busy"


class Invalid(Refusal):
    """The input is wrong: HTTP 422 with `fields`."""

    status = 422
    code = "invalid"


class Forbidden(Refusal):
    """The person may see it, but not do it: HTTP 403."""

    status = 403
    code = "forbidden"
