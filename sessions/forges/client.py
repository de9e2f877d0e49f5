"""Calls to a forge's API: bounded in time and size, followed nowhere else, and each failure with a name."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
from django.db import models

from tasks.models.remote import is_loopback

SECONDS = 30.0  # for one answer, however slowly it drips
MOST_BYTES = 4_000_000
MOST_REDIRECTS = 3
LONGEST_WORDS = 500
LONGEST_WAIT = 3600  # seconds that a forge may ask for


class ForgeTrouble(models.TextChoices):
    """Why a forge's API did not do it. The label is what people read, without its full stop."""

    TOKEN = "token", "The forge refuses the project's token"
    TOKEN_AGAIN = "token_again", "The project's token was given for another address than the remote has now"
    TOKEN_LOST = "token_lost", "The project's token cannot be unsealed"
    NOT_FOUND = "not_found", "The forge knows no such repository, or the token may not see it"
    NOTHING = "nothing", "There is nothing between the branch and its base"
    INVALID = "invalid", "The forge takes no such pull request"
    BUSY = "busy", "The forge is busy or out of order"
    UNREACHABLE = "unreachable", "The forge does not answer"
    CERTIFICATE = "certificate", "The forge's certificate is not trusted on this machine"
    ELSEWHERE = "elsewhere", "The forge's API sends Studio to another address"
    NO_API = "no_api", "What answers at that address is not the API of such a forge"
    TOO_LARGE = "too_large", "The forge's answer is too large"
    DEFECT = "defect", "A defect of Studio's own; the log has the details"

    @property
    def advice(self) -> str:
        """What to do, as a sentence."""
        return ADVICE[self]

    @property
    def passes(self) -> bool:
        """Whether it may be over in a while."""
        return self in {ForgeTrouble.BUSY, ForgeTrouble.UNREACHABLE}


AGAIN = "then try again."
ADVICE = {
    ForgeTrouble.TOKEN: f"Give the project a token that may read and write pull requests of the repository, {AGAIN}",
    ForgeTrouble.TOKEN_AGAIN: f"Give the token once more at the project's remote, {AGAIN}",
    ForgeTrouble.TOKEN_LOST: f"Put Studio's vault key back, or give the token once more, {AGAIN}",
    ForgeTrouble.NOT_FOUND: f"Check the remote's address, the kind of forge and the rights of the token, {AGAIN}",
    ForgeTrouble.NOTHING: "The base has all of the change already: no pull request is needed.",
    ForgeTrouble.INVALID: f"See what the forge says, set that right, {AGAIN}",
    ForgeTrouble.BUSY: "Studio has tried for a while. Try again later.",
    ForgeTrouble.UNREACHABLE: f"Check the address and the network, {AGAIN}",
    ForgeTrouble.CERTIFICATE: f"Have this machine trust it, {AGAIN}",
    ForgeTrouble.ELSEWHERE: f"Give the project's remote the address of the API itself, {AGAIN}",
    ForgeTrouble.NO_API: f"Check the kind of forge and the address of its API at the project's remote, {AGAIN}",
    ForgeTrouble.TOO_LARGE: f"Check the address of the API at the project's remote, {AGAIN}",
    ForgeTrouble.DEFECT: "Report it.",
}


class ForgeFailed(Exception):
    """`trouble` is stable, `detail` what the forge says to it, `status` its HTTP status (0 without an answer), `wait` the
    seconds that it asks for.
    """

    def __init__(self, trouble: ForgeTrouble, detail: str = "", *, status: int = 0, wait: float = 0) -> None:
        super().__init__(f"{trouble.label}. {detail}".strip())
        self.trouble = trouble
        self.detail = detail
        self.status = status
        self.wait = wait


@dataclass(frozen=True)
class Found:
    """A pull request as its forge tells it: `state` is open, merged or closed, `oid` the commit of its branch."""

    number: int
    url: str
    state: str
    oid: str


class Answers:
    """A repository's part of a forge's API. `tick` is called while it waits, and what it raises passes."""

    def __init__(self, place: str, headers: Mapping[str, str], *, tick: Callable[[], None]) -> None:
        self.place = place
        self.headers = {**headers, "User-Agent": "Studio", "Accept-Encoding": "identity"}
        self.tick = tick

    def get(self, path: str, **query: str) -> Any:
        """The JSON at a path below the repository. Raises ForgeFailed."""
        return self._ask("GET", path, query=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON that answers a body. Raises ForgeFailed."""
        return self._ask("POST", path, body=body)

    def _ask(self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None) -> Any:
        url = httpx.URL(f"{self.place}{path}")
        if query:
            url = url.copy_merge_params(query)
        # A proxy in the environment must not see what is sent to this machine itself.
        with httpx.Client(timeout=SECONDS, trust_env=not is_loopback(url.host), headers=self.headers) as http:
            for _ in range(MOST_REDIRECTS + 1):
                status, headers, text = self._once(http, http.build_request(method, url, json=body))
                if status not in {301, 302, 307, 308}:
                    return _read(status, headers, text)
                url = _onward(url, headers.get("location", ""))
        raise ForgeFailed(ForgeTrouble.ELSEWHERE, "It goes round in circles.")

    def _once(self, http: httpx.Client, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        self.tick()
        until = time.monotonic() + SECONDS
        try:
            answer = http.send(request, stream=True, follow_redirects=False)
            try:
                found = bytearray()
                for piece in answer.iter_raw():
                    found += piece
                    if len(found) > MOST_BYTES:
                        raise ForgeFailed(ForgeTrouble.TOO_LARGE, status=answer.status_code)
                    if time.monotonic() > until:
                        raise ForgeFailed(
                            ForgeTrouble.UNREACHABLE, f"Its answer took longer than {SECONDS:g} s."
                        )
                    self.tick()
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            wrong = (
                ForgeTrouble.CERTIFICATE if "CERTIFICATE_VERIFY" in str(error) else ForgeTrouble.UNREACHABLE
            )
            raise ForgeFailed(wrong, str(error)[:LONGEST_WORDS] or type(error).__name__) from error
        return answer.status_code, answer.headers, bytes(found)


def sound(shown: Callable[[Any], Found], answer: Any) -> Found:
    """The pull request in an answer. Raises ForgeFailed where there is none."""
    try:
        found = shown(answer)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        _misshapen()
    return found if 0 < found.number < 2**31 else _misshapen()


def chosen(answer: Any, fits: Callable[[Any], bool]) -> list[Any]:
    """Those of a list that fit. Raises ForgeFailed where it is no list, or one of other things."""
    try:
        return [each for each in answer if fits(each)] if isinstance(answer, list) else _misshapen()
    except (KeyError, TypeError, AttributeError):
        return _misshapen()


def _misshapen() -> NoReturn:
    raise ForgeFailed(ForgeTrouble.NO_API, "Its answer has another shape than expected.")


def page(url: Any) -> str:
    """An address that a link may lead to; empty for anything else that a forge might say."""
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return ""
    fits = parts.scheme in {"https", "http"} and parts.netloc and "@" not in parts.netloc
    return str(url) if fits and len(str(url)) <= 1000 else ""


def _onward(url: httpx.URL, location: str) -> httpx.URL:
    """Where it leads, if that is the same server: nobody else sees the token."""
    try:
        onward = url.join(location)
    except (httpx.InvalidURL, ValueError):
        location = ""
    if not location or (onward.scheme, onward.host, onward.port) != (url.scheme, url.host, url.port):
        raise ForgeFailed(ForgeTrouble.ELSEWHERE)
    return onward


def _read(status: int, headers: httpx.Headers, text: bytes) -> Any:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if 200 <= status < 300:
        if answer is None:
            raise ForgeFailed(ForgeTrouble.NO_API, "Its answer is no JSON.", status=status)
        return answer
    raise ForgeFailed(_trouble(status, headers), _words(answer), status=status, wait=_wait(headers))


def _trouble(status: int, headers: httpx.Headers) -> ForgeTrouble:
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    if status in {408, 429} or status >= 500 or (status == 403 and limited):
        return ForgeTrouble.BUSY
    known = {401: ForgeTrouble.TOKEN, 403: ForgeTrouble.TOKEN, 404: ForgeTrouble.NOT_FOUND}
    return known.get(status, ForgeTrouble.INVALID if status in {400, 409, 422} else ForgeTrouble.NO_API)


def _wait(headers: httpx.Headers) -> float:
    try:
        return min(max(float(headers.get("retry-after", "")), 0), LONGEST_WAIT)
    except ValueError:
        return 0


def _words(answer: Any) -> str:
    """What a forge says of an error: its message, and those of its parts."""
    if not isinstance(answer, dict):
        return ""
    parts = [answer.get("message") or answer.get("error") or ""]
    errors = answer.get("errors")
    for each in errors if isinstance(errors, list) else []:
        parts.append(each.get("message", "") if isinstance(each, dict) else each)
    return " ".join(str(part) for part in parts if part)[:LONGEST_WORDS]
