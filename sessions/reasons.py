"""Why a session ended without its result: each reason's name, its sentence, who goes on and how, and what people can do."""

from datetime import datetime
from typing import NamedTuple

from django.db import models


class Reason(models.TextChoices):
    CANCELLED = "cancelled", "Cancelled by a person"
    STUDIO_STOPPED = "studio_stopped", "Studio was stopped"
    PAUSED = "paused", "It was paused by a person"
    WORKER_DIED = "worker_died", "The process that ran it died"
    TRIES_USED_UP = "tries_used_up", "It was interrupted again and again"
    NOT_CONFIRMED = "not_confirmed", "Its processes could not be confirmed gone"
    DISK_FULL = "disk_full", "The disk is full"
    DATABASE = "database", "The database could not be used"
    RESTORED = "restored", "It was under way when the backup was made"
    WORKSPACE = "workspace", "The workspace could not be made"
    SANDBOX = "sandbox", "The sandbox cannot be had on this machine"
    VAULT = "vault", "A secret of the project cannot be read"
    SETUP = "setup", "The setup of the workspace failed"
    AGENT_START = "agent_start", "OpenCode did not start"
    NO_START = "no_start", "OpenCode took the prompt and did not begin"
    AGENT_REFUSED = "agent_refused", "OpenCode refused what Studio asked of it"
    SERVER_DIED = "server_died", "OpenCode died"
    SERVER_KEEPS_DYING = "server_keeps_dying", "OpenCode died again and again"
    PROVIDER_ERROR = "provider_error", "The model's provider answers with errors"
    PROVIDER_LIMITED = "provider_limited", "The model's provider limits the rate"
    PROVIDER_UNREACHABLE = "provider_unreachable", "The model's provider does not answer"
    PROVIDER_QUOTA = "provider_quota", "The quota or the balance at the model's provider is used up"
    PROVIDER_SETUP = "provider_setup", "The provider's set-up cannot be read"
    PROVIDER_LOGIN = "provider_login", "The model's provider refused the key"
    PROVIDER_REFUSED = "provider_refused", "The model's provider refused the request"
    MODEL_MISSING = "model_missing", "The model is not there"
    CONTEXT_OVERFLOW = "context_overflow", "The conversation grew beyond what the model can read"
    OUTPUT_LIMIT = "output_limit", "The model's answer was cut at its length limit"
    CONTENT_FILTER = "content_filter", "The provider filtered the model's answer"
    STALLED = "stalled", "Nothing happened for too long"
    DEADLINE = "deadline", "It ran longer than a session may"
    ABORTED = "aborted", "The run was cut off in the middle of an answer"
    REJECTED = "rejected", "A refused permission ended the run"
    EMPTY_ANSWER = "empty_answer", "The agent ended without an answer"
    NO_CHANGE = "no_change", "The agent ended without changing anything"
    MALFORMED_ANSWER = "malformed_answer", "The model's answer could not be read"
    DEFECT = "defect", "A defect of Studio's own; the log has the details"
    UNKNOWN = "unknown", "It ended for a reason that Studio has no name for"


class Again(models.TextChoices):
    """Who has the phase run again."""

    STUDIO = "studio", "Studio, at once"
    PROVIDER = "provider", "Studio, when the provider answers again"
    PERSON = "person", "a person, by Retry"


class Handling(NamedTuple):
    """What follows a reason: who goes on, whether in a fresh conversation (else in the same), and what a person should do."""

    again: Again
    is_fresh: bool
    advice: str


def _by(again: Again, advice: str, *, fresh: bool = False) -> Handling:
    return Handling(again, fresh, advice)


HANDLING: dict[Reason, Handling] = {
    Reason.CANCELLED: _by(Again.PERSON, "Retry to go on where it stopped."),
    Reason.STUDIO_STOPPED: _by(Again.STUDIO, "It goes on by itself when Studio runs again."),
    Reason.PAUSED: _by(Again.STUDIO, "It goes on by itself when the pause ends."),
    Reason.WORKER_DIED: _by(Again.STUDIO, "It goes on by itself, in the same workspace and conversation."),
    Reason.TRIES_USED_UP: _by(Again.PERSON, "See the log of the machine for what kills it, then retry."),
    Reason.NOT_CONFIRMED: _by(Again.PERSON, "End the processes that are left by hand, then retry."),
    Reason.DISK_FULL: _by(
        Again.STUDIO,
        "Make room on the disk. It goes on by itself then, or by Retry: workspace and conversation are kept.",
    ),
    Reason.DATABASE: _by(Again.STUDIO, "It goes on by itself, in the same workspace and conversation."),
    Reason.RESTORED: _by(
        Again.PERSON, "Retry: it goes on from what the backup and the repository have of its work."
    ),
    Reason.WORKSPACE: _by(Again.PERSON, "Set the repository right as the message says, then retry."),
    Reason.SANDBOX: _by(
        Again.PERSON,
        "Allow user namespaces on this machine, or set STUDIO_SANDBOX=off knowing what that means.",
    ),
    Reason.VAULT: _by(
        Again.PERSON, "Put the vault key back, or set the secret again on the project's page, then retry."
    ),
    Reason.SETUP: _by(Again.PERSON, "See what it printed, set the project's setup right, then retry."),
    Reason.AGENT_START: _by(Again.PERSON, "Retry; if it stays, the agent's log says why."),
    Reason.NO_START: _by(Again.PERSON, "Check the model and the provider, then retry."),
    Reason.AGENT_REFUSED: _by(Again.PERSON, "Retry; if it stays, the agent's log says why."),
    Reason.SERVER_DIED: _by(
        Again.STUDIO, "It goes on by itself, with a new OpenCode in the same conversation."
    ),
    Reason.SERVER_KEEPS_DYING: _by(
        Again.PERSON,
        "See the agent's log for what ends it (short of memory?), then retry: the conversation is kept.",
    ),
    Reason.PROVIDER_ERROR: _by(
        Again.PROVIDER,
        "Studio goes on by itself when the provider works again. If it gave up, retry: the conversation is kept.",
    ),
    Reason.PROVIDER_LIMITED: _by(
        Again.PROVIDER,
        "Studio goes on by itself when the provider lets it. If it gave up, wait or raise the limit there, then retry.",
    ),
    Reason.PROVIDER_UNREACHABLE: _by(
        Again.PROVIDER,
        "Wait until the provider works again: Studio goes on by itself. If it gave up, check the network and retry.",
    ),
    Reason.PROVIDER_QUOTA: _by(
        Again.PROVIDER, "Top it up at the provider, then try the provider again, or retry."
    ),
    Reason.PROVIDER_SETUP: _by(Again.PERSON, "Mend your OpenCode set-up as the message says, then retry."),
    Reason.PROVIDER_LOGIN: _by(Again.PERSON, "Set a valid key in your OpenCode set-up, then retry."),
    Reason.PROVIDER_REFUSED: _by(
        Again.PERSON, "See the message of the provider, mend the set-up, then retry.", fresh=True
    ),
    Reason.MODEL_MISSING: _by(Again.PERSON, "Choose another model in the project, then retry."),
    Reason.CONTEXT_OVERFLOW: _by(
        Again.PERSON,
        "Put the task back to do and split it, or choose a model with a larger context.",
        fresh=True,
    ),
    Reason.OUTPUT_LIMIT: _by(Again.PERSON, "Retry; if it stays, raise the model's output limit."),
    Reason.CONTENT_FILTER: _by(Again.PERSON, "Rephrase the task, then retry."),
    Reason.STALLED: _by(
        Again.PERSON, "Check that the provider answers, then retry: the conversation is kept."
    ),
    Reason.DEADLINE: _by(Again.PERSON, "Split the task, or allow longer sessions, then retry."),
    Reason.ABORTED: _by(Again.PERSON, "Retry: the conversation and the workspace are kept."),
    Reason.REJECTED: _by(Again.PERSON, "Retry, or change the task so that it does not need that."),
    Reason.EMPTY_ANSWER: _by(Again.PERSON, "Retry; a clearer task helps."),
    Reason.NO_CHANGE: _by(
        Again.PERSON, "Make the task clearer, then retry, or mark it done if nothing was to do."
    ),
    Reason.MALFORMED_ANSWER: _by(
        Again.PERSON, "Retry; if it stays, the provider and OpenCode do not fit together.", fresh=True
    ),
    Reason.DEFECT: _by(Again.PERSON, "Retry, and report it with the log."),
    Reason.UNKNOWN: _by(Again.PERSON, "Retry, and report it with the log."),
}


class Failed(Exception):
    """A session ends without its result, for a named reason; `detail` is what the part that failed said.

    `again_at` is when a provider that limits wants to be asked again; `is_paused` says that others had met its trouble before.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        again_at: datetime | None = None,
        is_paused: bool = False,
    ) -> None:
        super().__init__()
        self.reason = reason
        self.detail = detail
        self.again_at = again_at
        self.is_paused = is_paused

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)
