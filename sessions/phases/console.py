"""What a command of the project prints, as an entry of the session's activity that grows while it runs."""

import time
from dataclasses import replace

from django.utils import timezone

from sessions.models import CheckResult, Session
from sessions.opencode.parts import PartSnapshot
from sessions.phases.bench import Bench
from sessions.recorder import Recorder

SHOWN_BYTES = 8_000  # the end of the output; all that is kept stands in the result
SHOW_SECONDS = 0.5


class Console:
    """`take` hears what is printed, `tick` shows it, `end` says what came of it."""

    def __init__(self, bench: Bench, session: Session, result: CheckResult) -> None:
        self.recorder = Recorder(bench.claim, session, is_agent=False)
        self.redactor = bench.redactor
        self.printed = bytearray()
        self.is_cut = self.is_news = False
        self.shown_at = 0.0
        name = f"check-{result.pk:012}"  # before what agents say, and in order
        self.part = PartSnapshot(
            part_id=name,
            message_id=name,
            opencode_session_id="",
            parent_session_id="",
            depth=0,
            role="studio",
            kind="tool",
            state="running",
            tool=result.kind,
            title=result.name,
            input={"command": result.command},
            started_at=timezone.now(),
        )
        self.recorder.write([self.part])

    def take(self, chunk: bytes) -> None:
        """Some more output."""
        self.printed += chunk
        self.is_cut = self.is_cut or len(self.printed) > SHOWN_BYTES
        del self.printed[:-SHOWN_BYTES]
        self.is_news = True

    def tick(self) -> None:
        """Show what is new, when it is due."""
        now = time.monotonic()
        if self.is_news and now - self.shown_at >= SHOW_SECONDS:
            self.is_news, self.shown_at = False, now
            self._show(self.redactor.text(self._text(), goes_on=True, began=not self.is_cut))

    def end(self, result: CheckResult) -> None:
        """Show the result's end."""
        timed_out = result.state == CheckResult.State.TIMED_OUT
        self.part = replace(
            self.part,
            state="error" if timed_out else "completed",
            metadata={} if result.exit_code is None else {"exit": result.exit_code},
            ended_at=timezone.now(),
        )
        self._show(result.output[-SHOWN_BYTES:])

    def _text(self) -> str:
        return self.printed.decode(errors="replace")

    def _show(self, output: str) -> None:
        self.part = replace(self.part, output=output)
        self.recorder.write([self.part])
