"""OpenCode's HTTP API, as far as Studio uses it: one method for each endpoint.

Every call names the directory: OpenCode keeps status, permissions and questions apart for each, and answers `{}` for the wrong one.
"""

import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

USER = "opencode"
Json = dict[str, Any]
T = TypeVar("T")

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_lock = threading.Lock()
_last_moment = 0


class OpenCodeError(Exception):
    """A call that failed.

    `kind` is one of unreachable, timeout, unauthorized, not_found, bad_request, not_json, server_error; `status` is the HTTP
    status, 0 where there was no answer.
    """

    def __init__(self, kind: str, message: str, status: int = 0) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.status = status


def sound(call: Callable[[], T]) -> T:
    """The answer of `call`; one that cannot be read is an OpenCodeError too, of kind not_json."""
    try:
        return call()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise OpenCodeError("not_json", f"An answer has another shape than expected: {error!r}") from error


def message_id() -> str:
    """A new message id that OpenCode accepts and that sorts after all earlier ones of this process.

    OpenCode's own form: `msg_`, 12 hex digits of the time (milliseconds times 4096 + a counter, its low 48 bits), 14 letters by chance.
    A prompt repeated with the same id is recognised and not run again.
    """
    global _last_moment
    with _lock:
        _last_moment = max(time.time_ns() // 1_000_000 * 0x1000, _last_moment + 1)
        moment = _last_moment & 0xFFFF_FFFF_FFFF
    return f"msg_{moment:012x}{''.join(secrets.choice(_BASE62) for _ in range(14))}"


class Client:
    """One OpenCode server, seen from one directory. `timeout` is in seconds and holds for each call. Safe to use from several threads."""

    def __init__(self, base_url: str, password: str, directory: str, timeout: float = 10) -> None:
        self.base_url = base_url.rstrip("/")
        self.password = password
        self.directory = directory
        self._http = httpx.Client(
            base_url=self.base_url,
            auth=httpx.BasicAuth(USER, password),
            timeout=timeout,
            trust_env=False,  # a proxy in the environment must not see loopback
        )

    def close(self) -> None:
        self._http.close()

    def health(self, timeout: float = 1) -> str:
        """`GET /global/health`: the server's version. A server that starts accepts and does not answer: hence the short timeout in seconds."""
        return sound(lambda: str(self._get("/global/health", timeout=timeout)["version"]))

    def agents(self) -> list[str]:
        """`GET /agent`: the names of all agents."""
        return [str(agent["name"]) for agent in self._get("/agent", timeout=60)]

    def providers(self) -> dict[str, list[str]]:
        """`GET /config/providers`: the model ids that can be used, by provider id. (Its raw answer holds API keys: they stay here.)"""
        return {
            str(each["id"]): sorted(each["models"])
            for each in self._get("/config/providers", timeout=60)["providers"]
        }

    def default_model(self, provider_id: str) -> str:
        """`GET /config/providers`: OpenCode's own choice for a provider as `provider/model`, or an empty text."""
        chosen = self._get("/config/providers", timeout=60)["default"].get(provider_id, "")
        return f"{provider_id}/{chosen}" if chosen else ""

    def create_session(self, title: str, metadata: Mapping[str, Any]) -> str:
        """`POST /session`: the id of a new conversation. A title of our own saves a call to the model."""
        return str(self._post("/session", {"title": title, "metadata": dict(metadata)}, timeout=60)["id"])

    def session(self, session_id: str) -> Json:
        """`GET /session/{id}`: the conversation, with its `title`, `metadata`, `time`, `cost`. Unknown: kind not_found."""
        return dict(self._get(f"/session/{session_id}"))

    def prompt_async(
        self,
        session_id: str,
        message_id: str,
        agent: str,
        model: str,
        text: str,
        files: Sequence[Json] = (),
    ) -> None:
        """`POST /session/{id}/prompt_async`: 204 says that it was accepted, not that it started.

        `model` is `provider/model`; empty leaves the choice to the configuration. The agent is named every time: a session's own is ignored. `files` are file parts, that follow the text.
        """
        parts = [{"type": "text", "text": text}, *files]
        body: Json = {"messageID": message_id, "agent": agent, "parts": parts}
        if model:
            provider_id, _, model_id = model.partition("/")
            body["model"] = {"providerID": provider_id, "modelID": model_id}
        self._post(f"/session/{session_id}/prompt_async", body, timeout=60)

    def status(self) -> dict[str, Json]:
        """`GET /session/status`: `{session id: {"type": "busy"}}` or `{"type": "retry", "attempt", "message", "next"}`; an idle session is absent."""
        return dict(self._get("/session/status"))

    def messages(self, session_id: str) -> list[Json]:
        """`GET /session/{id}/message`: all messages `{"info", "parts"}`, oldest first."""
        return list(self._get(f"/session/{session_id}/message", timeout=60))

    def children(self, session_id: str) -> list[Json]:
        """`GET /session/{id}/children`: the sessions of its sub-agents (not theirs)."""
        return list(self._get(f"/session/{session_id}/children"))

    def todo(self, session_id: str) -> list[Json]:
        """`GET /session/{id}/todo`: `[{"content", "status", "priority"}]`."""
        return list(self._get(f"/session/{session_id}/todo"))

    def abort(self, session_id: str) -> None:
        """`POST /session/{id}/abort`: stops the run and the agent's processes; no error for an idle or unknown session."""
        self._post(f"/session/{session_id}/abort", {})

    def permissions(self) -> list[Json]:
        """`GET /permission`: the open ones of all sessions here: `[{"id", "sessionID", "permission", "patterns", "metadata", "always"}]`."""
        return list(self._get("/permission"))

    def reply_permission(self, permission_id: str, reply: str, message: str = "") -> None:
        """`POST /permission/{id}/reply` with `once`, `always` or `reject`.

        A rejection with a message goes back to the model, which goes on; without one the run stops. Answered before: kind not_found.
        """
        self._post(
            f"/permission/{permission_id}/reply",
            {"reply": reply, **({"message": message} if message else {})},
        )

    def questions(self) -> list[Json]:
        """`GET /question`: the open ones: `[{"id", "sessionID", "questions": [{"question", "header", "options"}]}]`."""
        return list(self._get("/question"))

    def reply_question(self, question_id: str, answers: list[list[str]]) -> None:
        """`POST /question/{id}/reply`: one list of labels for each question. Answered before: kind not_found."""
        self._post(f"/question/{question_id}/reply", {"answers": answers})

    def reject_question(self, question_id: str) -> None:
        """`POST /question/{id}/reject`: the run stops."""
        self._post(f"/question/{question_id}/reject", {})

    def dispose(self) -> None:
        """`POST /global/dispose`: aborts everything and kills the tools' processes; a plain SIGTERM would leave them behind."""
        self._post("/global/dispose", {})

    def _get(self, path: str, *, timeout: float | None = None) -> Any:
        return self._call("GET", path, None, timeout)

    def _post(self, path: str, body: Json, *, timeout: float | None = None) -> Any:
        return self._call("POST", path, body, timeout)

    def _call(self, method: str, path: str, body: Json | None, timeout: float | None) -> Any:
        limit = httpx.USE_CLIENT_DEFAULT if timeout is None else timeout
        try:
            answer = self._http.request(
                method, path, params={"directory": self.directory}, json=body, timeout=limit
            )
        except httpx.TimeoutException as error:
            raise OpenCodeError("timeout", f"{method} {path}: no answer in time") from error
        except httpx.HTTPError as error:
            raise OpenCodeError("unreachable", f"{method} {path}: {error}") from error
        if answer.is_error:
            raise refused(answer)
        if answer.status_code == 204:
            return None
        if "application/json" not in answer.headers.get("content-type", ""):
            # There is no 404 for a path that does not exist: it gets OpenCode's web page with status 200.
            raise OpenCodeError(
                "not_json", f"{method} {path} is no endpoint of this OpenCode", answer.status_code
            )
        try:
            return answer.json()
        except ValueError as error:
            raise OpenCodeError("not_json", f"{method} {path}: no JSON", answer.status_code) from error


def refused(answer: httpx.Response) -> OpenCodeError:
    """The error that an answer with a status from 400 stands for, in OpenCode's own words where it has any."""
    kinds = {400: "bad_request", 401: "unauthorized", 403: "unauthorized", 404: "not_found"}
    try:
        body = answer.json()
        message = str(body.get("data", body).get("message") or body)
    except (ValueError, AttributeError):
        message = answer.text[:500] or answer.reason_phrase
    return OpenCodeError(kinds.get(answer.status_code, "server_error"), message, answer.status_code)
