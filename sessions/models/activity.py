"""Activity: one entry of what happened inside a session, one row for each part of OpenCode's messages."""

from typing import Any, ClassVar

from django.db import models


class Activity(models.Model):
    """`seq` is the place within the session (message, then part); `rev` is the session's counter at the last write."""

    class Kind(models.TextChoices):
        PROMPT = "prompt", "Prompt"
        MESSAGE = "message", "Message"
        REASONING = "reasoning", "Reasoning"
        TOOL = "tool", "Tool call"
        PATCH = "patch", "Patch"
        STEP = "step", "Step"
        FILE = "file", "File"
        COMPACTION = "compaction", "Compaction"
        AGENT = "agent", "Agent"
        SUBTASK = "subtask", "Subtask"
        RETRY = "retry", "Retry"
        ERROR = "error", "Error"

    session = models.ForeignKey("agent_sessions.Session", on_delete=models.CASCADE, related_name="activity")
    seq = models.PositiveIntegerField()
    rev = models.PositiveBigIntegerField()
    part_id = models.CharField(max_length=80)
    message_id = models.CharField(max_length=80)
    opencode_session_id = models.CharField(max_length=60, help_text="A sub-agent's own, where one did it.")
    depth = models.PositiveSmallIntegerField(default=0, help_text="0 for the agent, 1 for its sub-agents, …")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    tool = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=20, blank=True)
    title = models.TextField(blank=True)
    input = models.JSONField(default=dict)
    output = models.TextField(blank=True)
    text = models.TextField(blank=True)
    metadata = models.JSONField(default=dict)
    tokens = models.JSONField(default=dict)
    cost = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    thinned_at = models.DateTimeField(
        null=True, help_text="When retention took away its texts and outputs; sessions/retention.py."
    )

    class Meta:
        ordering: ClassVar = ["session", "seq"]
        verbose_name_plural = "activity"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "part_id"], name="one_row_per_part")
        ]
        indexes: ClassVar = [
            models.Index(fields=["session", "rev"], name="activity_by_rev"),
            models.Index(fields=["session", "seq"], name="activity_by_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind} {self.tool}".strip()

    def to_dict(self) -> dict[str, Any]:
        """As scripts get it, in the API and in the stream."""
        return {
            "seq": self.seq,
            "rev": self.rev,
            "id": self.part_id,
            "message_id": self.message_id,
            "opencode_session_id": self.opencode_session_id,
            "depth": self.depth,
            "kind": self.kind,
            "tool": self.tool,
            "state": self.state,
            "title": self.title,
            "input": self.input,
            "output": self.output,
            "text": self.text,
            "metadata": self.metadata,
            "tokens": self.tokens,
            "cost": float(self.cost),
            "started_at": self.started_at and self.started_at.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
            "thinned_at": self.thinned_at and self.thinned_at.isoformat(),
        }
