"""How a run ended, and the named reason when it did not end well."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessions.reasons import Reason

Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The end of a run. `kind` is `completed` or `failed`; `detail` is what the provider or OpenCode said.

    `tokens` has input, output, reasoning, cache_read and cache_write (input without cached, output without reasoning) and `cost` is in US
    dollars; both include sub-agents. `again_at`: when a provider that limits was going to be asked again.
    """

    kind: str
    reason: Reason | None = None
    detail: str = ""
    text: str = ""
    tokens: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    again_at: datetime | None = None

    @property
    def is_completed(self) -> bool:
        return self.kind == "completed"


def failed(reason: Reason, detail: str = "") -> Outcome:
    return Outcome("failed", reason, detail)


def judge(answers: list[Json]) -> Outcome:
    """The outcome of a run that is over, by its assistant messages `{"info", "parts"}`, oldest first. None: it did not start."""
    if not answers:
        return failed(Reason.NO_START, "OpenCode accepted the prompt, and nothing followed.")
    info, text = answers[-1]["info"], text_of(answers[-1])
    if info.get("error"):
        return failed(*explain(info["error"]))
    match info.get("finish"):
        case "stop" if info.get("time", {}).get("completed"):
            return (
                Outcome("completed", text=text)
                if text
                else failed(Reason.EMPTY_ANSWER, "The model ended without a word.")
            )
        case "length":
            return failed(Reason.OUTPUT_LIMIT, "The answer was cut at the model's output limit.")
        case "content-filter":
            return failed(Reason.CONTENT_FILTER, "The provider filtered the answer.")
        case "tool-calls":
            return failed(Reason.REJECTED, "The run stopped at a tool call that was rejected.")
        case None:
            return failed(Reason.ABORTED, "The run was cut off in the middle of an answer.")
    return failed(Reason.MALFORMED_ANSWER, f"The run ended with “{info.get('finish')}”.")


def text_of(message: Json) -> str:
    """The answer's own text, without what OpenCode added."""
    texts = [
        part["text"] for part in message["parts"] if part["type"] == "text" and not part.get("synthetic")
    ]
    return "\n\n".join(text.strip() for text in texts if text.strip())


def explain(error: Json) -> tuple[Reason, str]:
    """The reason and the words of an error as OpenCode writes it: `{"name", "data": {"message", "statusCode"}}`."""
    data = error.get("data") or {}
    name, message, status = (
        str(error.get("name")),
        str(data.get("message") or error.get("name")),
        data.get("statusCode"),
    )
    message = message.splitlines()[0][:500]  # the rest is OpenCode's stack trace
    if name == "APIError":
        return explain_refusal(status, message), message
    return NAMED_ERRORS.get(name) or explain_unknown(message), message


NAMED_ERRORS = {
    "ProviderAuthError": Reason.PROVIDER_LOGIN,
    "MessageAbortedError": Reason.ABORTED,
    "MessageOutputLengthError": Reason.OUTPUT_LIMIT,
    "ContextOverflowError": Reason.CONTEXT_OVERFLOW,
    "ContentFilterError": Reason.CONTENT_FILTER,
    "ProviderModelNotFoundError": Reason.MODEL_MISSING,
}


SILENT = re.compile(
    r"timed out|cannot connect|connection (?:was )?(?:closed|reset|refused)|ECONN\w+|ENOTFOUND|socket|unable to connect",
    re.IGNORECASE,
)
QUOTA = re.compile(
    r"insufficient.?(?:quota|balance|credit)|credit balance|billing|exceeded your current quota",
    re.IGNORECASE,
)
LIMITED = re.compile(r"\b429\b|rate.?limit|too many requests|quota", re.IGNORECASE)


def explain_refusal(status: int | None, message: str) -> Reason:
    """The reason for an answer of the provider's with this HTTP status (None: there was no answer)."""
    if status == 402 or QUOTA.search(message):
        return Reason.PROVIDER_QUOTA
    if status in {401, 403}:
        return Reason.PROVIDER_LOGIN
    if status == 429 or (status == 400 and LIMITED.search(message)):
        return Reason.PROVIDER_LIMITED
    if status == 404 and "model" in message.lower():
        return Reason.MODEL_MISSING
    if status is not None and 400 <= status < 500:
        return Reason.PROVIDER_REFUSED
    return explain_retry(message)


def explain_retry(message: str) -> Reason:
    """The reason for a retry: OpenCode hands on the provider's words only, not its status."""
    known = (
        (SILENT, Reason.PROVIDER_UNREACHABLE),
        (QUOTA, Reason.PROVIDER_QUOTA),
        (LIMITED, Reason.PROVIDER_LIMITED),
    )
    return next((reason for words, reason in known if words.search(message)), Reason.PROVIDER_ERROR)


def explain_unknown(message: str) -> Reason:
    if re.search(r"rejected permission", message, re.IGNORECASE):  # a refused doom_loop ends the run
        return Reason.REJECTED
    if re.search(r"model not found", message, re.IGNORECASE):
        return Reason.MODEL_MISSING
    if re.search(r"agent not found", message, re.IGNORECASE):
        return Reason.NO_START
    if re.search(r"json", message, re.IGNORECASE):
        return Reason.MALFORMED_ANSWER
    return Reason.UNKNOWN
