"""CheckResult: what a command of the project said in the workspace, run by Studio itself."""

from typing import ClassVar

from django.db import models


class CheckResult(models.Model):
    class State(models.TextChoices):
        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        TIMED_OUT = "timed_out", "Timed out"

    class Kind(models.TextChoices):
        CHECK = "check", "Check"
        SETUP = "setup", "Setup"
        CLEANUP = "cleanup", "Clean-up"

    session = models.ForeignKey(
        "agent_sessions.Session", on_delete=models.CASCADE, related_name="check_results"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.CHECK)
    name = models.CharField(max_length=100)
    command = models.TextField()
    required = models.BooleanField(default=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.RUNNING)
    exit_code = models.IntegerField(null=True)
    output = models.TextField(blank=True, help_text="The end of what it printed.")
    seconds = models.FloatField(null=True)
    head_oid = models.CharField(max_length=64, blank=True, help_text="The commit it ran on.")
    started_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "kind", "name"], name="one_result_per_check")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"

    @property
    def is_red(self) -> bool:
        """Whether it stands in the way of a merge."""
        return self.required and self.state != self.State.PASSED

    def finish(self, exit_code: int | None, output: str, seconds: float, *, timed_out: bool) -> None:
        """Store what the command said. `seconds` is how long it took."""
        passed = self.State.PASSED if exit_code == 0 else self.State.FAILED
        self.state = self.State.TIMED_OUT if timed_out else passed
        self.exit_code = exit_code
        self.output = output.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        self.seconds = round(seconds, 3)
        self.save(update_fields=["state", "exit_code", "output", "seconds"])
