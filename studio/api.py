"""The JSON API's frame: who may call it, what an error looks like, lists, and requests that may be repeated.

The apps bring the endpoints; studio/urls.py attaches their routers.
"""

import json
import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Generic, NoReturn, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as FormError
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth
from ninja.utils import check_csrf
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from studio import database
from studio.errors import Forbidden, Refusal
from studio.health import VERSION
from studio.models import ApiToken

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)
View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
LARGEST_ID = 2**63 - 1
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Missing(Refusal):
    """It is not there, or not for this person to see: HTTP 404."""

    status = 404
    code = "not_found"


# --- what goes in -------------------------------------------------------------------------------------------------


def _storable(text: str) -> str:
    """No database takes half of a surrogate pair, which JSON can spell, and PostgreSQL no NUL."""
    if UNSTORABLE.search(text):
        raise ValueError("Must not contain NUL characters or halves of surrogate pairs.")
    return text


Text = Annotated[str, AfterValidator(_storable)]
FilledText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_storable)]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Cursor = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Limit = Annotated[int, Field(ge=1, le=500)]


class Input(Schema):
    """A request's body. An unknown field is an error, since it is most often a misspelt one."""

    model_config = ConfigDict(extra="forbid")


class StrictParser(Parser):
    """Reads JSON by the book: Python's own reader takes `NaN` and `Infinity` too."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Raises for what is no JSON; ninja answers 400."""
        parsed: dict[str, Any] = json.loads(request.body, parse_constant=_refuse_constant)
        return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON.")


# --- what comes out -----------------------------------------------------------------------------------------------

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Page(Schema, Generic[Item]):
    """A part of a list. `next` continues it, null at the end."""

    items: list[Item]
    next: int | None


class Error(Schema):
    """What every error looks like; some carry more, as `session_id` when something runs already."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="Stable, for scripts.")
    message: str = Field(description="A sentence for people.")
    fields: dict[str, str] = Field(description="What is wrong with which input.")


def responses(success: dict[int, Any], *errors: int) -> dict[int, Any]:
    """An operation's replies: the good ones, and the errors that it may answer besides 401, 403, 404 and 422."""
    return success | dict.fromkeys((401, 403, 404, 422, *errors), Error)


def page(
    rows: QuerySet[Row], show: Callable[[Row], dict[str, Any]], limit: int, field: str = "pk"
) -> dict[str, Any]:
    """The first `limit` of the rows, which start behind the caller's cursor and are ordered by `field`."""
    found = list(rows[: limit + 1])
    shown = found[:limit]
    cursor = getattr(shown[-1], field) if len(found) > limit else None
    return {"items": [show(row) for row in shown], "next": cursor}


# --- who may call it ----------------------------------------------------------------------------------------------


class TokenAuth(HttpBearer):
    """`Authorization: Bearer studio_…`, as `manage.py createtoken` prints it."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        found = ApiToken.find(token.strip()) if token.isascii() else None
        if found is None:
            raise AuthenticationError(message="The token is unknown or has expired.")
        if found.scope == ApiToken.Scope.READ and request.method not in SAFE_METHODS:
            raise Forbidden("The token may only read.", code="read_only_token")
        request.user = found.user
        return found


class CookieAuth(SessionAuth):
    """The cookie of somebody signed in, with the CSRF token as on any page."""

    def __call__(self, request: HttpRequest) -> Any:
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise Forbidden("The CSRF token is missing or wrong: send it as X-CSRFToken.", code="csrf")
        return request.user


api = NinjaAPI(
    title="Studio",
    version=VERSION,
    description="Put coding agents to work by script. Every error has the shape `Error`; lists are cursor pages.",
    docs=Swagger(settings={"persistAuthorization": False, "tryItOutEnabled": False}),
    auth=[TokenAuth(), CookieAuth()],
    parser=StrictParser(),
    urls_namespace="api",
)


def mount() -> tuple[list[URLPattern | URLResolver], str, str]:
    """The API's addresses for studio/urls.py, once its routers are attached."""
    patterns, app, namespace = api.urls
    for pattern in patterns:
        assert isinstance(pattern, URLPattern)  # ninja's addresses are flat
        pattern.callback = login_not_required(_shaped(pattern.callback))
    return patterns, app, namespace


@login_not_required
def unknown(request: HttpRequest) -> HttpResponse:
    """The answer for every address below /api/ that is none."""
    return refuse(404, "not_found", f"There is no {request.path} in this API; /api/docs lists what is.")


unknown.csrf_exempt = True  # type: ignore[attr-defined]


def _shaped(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Ninja answers a wrong method in plain text, before any handler of ours."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        reply = view(request, *args, **kwargs)
        if reply.status_code != 405:
            return reply
        shaped = refuse(405, "method_not_allowed", f"{request.method} is not allowed here.")
        shaped["Allow"] = ", ".join(sorted(reply["Allow"].split(", ")))
        return shaped

    return answer


# --- what an error looks like -------------------------------------------------------------------------------------


def refuse(
    status: int, code: str, message: str, fields: dict[str, str] | None = None, **data: Any
) -> HttpResponse:
    """An error in the API's shape."""
    return JsonResponse(data | {"error": code, "message": message, "fields": fields or {}}, status=status)


@api.exception_handler(Refusal)
def _refusal(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return refuse(refusal.status, refusal.code, refusal.message, refusal.fields, **refusal.data)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, problem: ValidationError) -> HttpResponse:
    fields = {_field(error["loc"]): error["msg"].removeprefix("Value error, ") for error in problem.errors}
    return refuse(422, "invalid", "The input is wrong: see the fields.", fields)


def _field(location: tuple[str | int, ...]) -> str:
    """Ninja says (`body`, the view's parameter, the field, …) or (`query`, the field)."""
    source, *rest = location
    path = rest[1:] if source == "body" else rest
    return ".".join(str(part) for part in path) or str(source)


@api.exception_handler(FormError)
def _invalid_model(request: HttpRequest, problem: FormError) -> HttpResponse:
    messages = (
        problem.message_dict if hasattr(problem, "error_dict") else {NON_FIELD_ERRORS: problem.messages}
    )
    fields = {name: " ".join(texts) for name, texts in messages.items()}
    return refuse(422, "invalid", "The input is wrong: see the fields.", fields)


@api.exception_handler(Http404)
def _missing(request: HttpRequest, problem: Http404) -> HttpResponse:
    return refuse(404, "not_found", "It is not there, or not for you to see.")


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, problem: RequestDataTooBig) -> HttpResponse:
    return refuse(413, "too_large", "The request's body is too large.")


@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, problem: SuspiciousOperation) -> HttpResponse:
    return refuse(400, "bad_request", "The request cannot be read.")


CODES = {
    400: "bad_request",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    429: "too_many_requests",
}


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, problem: HttpError) -> HttpResponse:
    message = str(problem)
    if problem.status_code == 400:
        message = "The request's body is no valid JSON."
    elif message == "Unauthorized":
        message = "Sign in, or send a token as “Authorization: Bearer studio_…”."
    reply = refuse(problem.status_code, CODES.get(problem.status_code, "error"), message)
    if problem.status_code == 401:
        reply["WWW-Authenticate"] = 'Bearer realm="Studio"'
    return reply


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def unavailable(request: HttpRequest, problem: Exception) -> HttpResponse:
    """The database could not be had in time, or its disk is full; nothing was done."""
    logger.warning("%s %s: %s", request.method, request.path, problem)
    told = database.refusal(problem)
    reply = refuse(told.status, told.code, told.message)
    reply["Retry-After"] = "2"
    return reply


@api.exception_handler(Exception)
def _defect(request: HttpRequest, problem: Exception) -> HttpResponse:
    """A defect of ours keeps the shape too. The signal is what Django sends for its own error page."""
    logger.exception("defect in %s %s", request.method, request.path)
    got_request_exception.send(sender=None, request=request)
    return refuse(500, "defect", "A defect of Studio's own; the log has the details.")
