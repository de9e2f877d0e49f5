"""Why a session ended without its result: each reason's name, its sentence for people and what they can do."""

from django.db import models


class Reason(models.TextChoices):
    CANCELLED = "cancelled", "Cancelled by a person"
    STUDIO_STOPPED = "studio_stopped", "Studio was stopped"
    WORKER_DIED = "worker_died", "The process that ran it died"
    TRIES_USED_UP = "tries_used_up", "It was interrupted again and again"
    NOT_CONFIRMED = "not_confirmed", "Its processes could not be confirmed gone"
    DISK_FULL = "disk_full", "The disk is full"
    DATABASE = "database", "The database could not be used"
    RESTORED = "restored", "It was under way when the backup was made"
    WORKSPACE = "workspace", "The workspace could not be made"
    SANDBOX = "sandbox", "The sandbox cannot be had on this machine"
    AGENT_START = "agent_start", "OpenCode did not start"
    NO_START = "no_start", "OpenCode took the prompt and did not begin"
    SERVER_DIED = "server_died", "OpenCode died"
    SERVER_KEEPS_DYING = "server_keeps_dying", "OpenCode died again and again"
    PROVIDER_ERROR = "provider_error", "The model's provider answers with errors"
    PROVIDER_LIMITED = "provider_limited", "The model's provider limits the rate or the quota is used up"
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


# What a person can do about it.
ADVICE: dict[Reason, str] = {
    Reason.CANCELLED: "Retry to go on where it stopped.",
    Reason.STUDIO_STOPPED: "It goes on by itself when Studio runs again.",
    Reason.WORKER_DIED: "It goes on by itself, in the same workspace and conversation.",
    Reason.TRIES_USED_UP: "See the log of the machine for what kills it, then retry.",
    Reason.NOT_CONFIRMED: "End the processes that are left by hand, then retry.",
    Reason.DISK_FULL: "Make room on the disk. It goes on by itself then, or by Retry: workspace and conversation are kept.",
    Reason.DATABASE: "It goes on by itself, in the same workspace and conversation.",
    Reason.RESTORED: "Retry: it goes on from what the backup and the repository have of its work.",
    Reason.WORKSPACE: "Set the repository right as the message says, then retry.",
    Reason.SANDBOX: "Allow user namespaces on this machine, or set STUDIO_SANDBOX=off knowing what that means.",
    Reason.AGENT_START: "Retry; if it stays, the agent's log says why.",
    Reason.NO_START: "Check the model and the provider, then retry.",
    Reason.SERVER_DIED: "It goes on by itself, with a new OpenCode in the same conversation.",
    Reason.SERVER_KEEPS_DYING: "See the agent's log for what ends it (short of memory?), then retry: the conversation is kept.",
    Reason.PROVIDER_ERROR: "Wait until the provider works again, then retry: the conversation is kept.",
    Reason.PROVIDER_LIMITED: "Wait, or raise the limit at the provider, then retry.",
    Reason.PROVIDER_LOGIN: "Set a valid key in your OpenCode set-up, then retry.",
    Reason.PROVIDER_REFUSED: "See the message of the provider, mend the set-up, then retry.",
    Reason.MODEL_MISSING: "Choose another model in the project, then retry.",
    Reason.CONTEXT_OVERFLOW: "Put the task back to do and split it, or choose a model with a larger context.",
    Reason.OUTPUT_LIMIT: "Retry; if it stays, raise the model's output limit.",
    Reason.CONTENT_FILTER: "Rephrase the task, then retry.",
    Reason.STALLED: "Check that the provider answers, then retry: the conversation is kept.",
    Reason.DEADLINE: "Split the task, or allow longer sessions, then retry.",
    Reason.ABORTED: "Retry: the conversation and the workspace are kept.",
    Reason.REJECTED: "Retry, or change the task so that it does not need that.",
    Reason.EMPTY_ANSWER: "Retry; a clearer task helps.",
    Reason.NO_CHANGE: "Make the task clearer, then retry, or mark it done if nothing was to do.",
    Reason.MALFORMED_ANSWER: "Retry; if it stays, the provider and OpenCode do not fit together.",
    Reason.DEFECT: "Retry, and report it with the log.",
    Reason.UNKNOWN: "Retry, and report it with the log.",
}


class Failed(Exception):
    """A session ends without its result, for a named reason; `detail` is what the part that failed said."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
