"""Messages on their way to the real OpenCode: each arrives once, whenever the worker dies, and one interrupts what runs."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from sessions.models import Activity, FollowUp, Session
from studio import crash
from studio.demo_model.server import DemoModel
from tasks.models import Attachment
from tasks.models.attachment import stage
from tests import factories
from tests.factories import PNG
from tests.sessions.workers import carry, carry_and_die, die

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SCRIPT = """```demo
{"implementation": [[{"tool": "bash", "args": {"command": "sleep 400", "description": "Waits", "timeout": 600000}}, {"text": "Too late."}],
 [{"tool": "write", "args": {"filePath": "{cwd}/a.txt", "content": "a"}}, {"text": "As you like."}]]}
```"""


@pytest.fixture
def at_point(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], None]]:
    """What happens, once, when the worker comes by a point of studio/crash.py."""
    happens: dict[str, Callable[[], None]] = {}
    monkeypatch.setattr(crash, "point", lambda name: happens.pop(name, lambda: None)())
    return happens


def told(model: DemoModel, text: str) -> int:
    """How many prompts with these words the model has before it, at the last."""
    log = httpx.get(f"http://127.0.0.1:{model.server_address[1]}/_log?n=1").json()
    return sum(text in str(each.get("content")) for each in log[-1]["body"]["messages"])


def test_a_message_is_told_once_whenever_the_worker_dies_and_interrupts_what_runs(
    model: DemoModel, repository: Path, alice: User, at_point: dict[str, Callable[[], None]]
) -> None:
    project = factories.make_project(repository, planning=False, ai_review=False)
    task = factories.make_task(project, description=SCRIPT)
    task.execute(by=alice)
    texts = ("Use tabs.", "And spaces.")
    begun = time.monotonic()

    def write() -> None:
        FollowUp.objects.write(task, texts[1], by=alice)
        drafts = stage([SimpleUploadedFile("bug.png", PNG), SimpleUploadedFile("log.txt", b"It broke.")])
        FollowUp.objects.write(task, texts[0], by=alice, interrupt=True, drafts=drafts)

    at_point |= {"part-recorded": write, "message-heard": die}
    carry_and_die(task)
    assert time.monotonic() - begun < 300, "the agent slept on"
    at_point["prompt-sent"] = die  # of the other one: whether OpenCode has it by now, nobody knows
    carry_and_die(task)
    carry()
    task.refresh_from_db()
    assert task.status == "review"
    assert [told(model, text) for text in texts] == [1, 1]
    assert [each.state for each in FollowUp.objects.exclude(sent_at=None)] == ["sent", "sent"]
    picture, log = Attachment.objects.all()
    assert [told(model, str(each.path)) for each in (picture, log)] == [1, 1]
    assert told(model, "Cannot read") == 1, (
        "the demo model takes no images, which OpenCode says in the image's place"
    )
    sessions = list(Session.objects.filter(phase="implementation"))
    assert [each.state for each in sessions] == ["interrupted", "interrupted", "completed"]
    prompts = Counter(Activity.objects.filter(kind="prompt").values_list("message_id", flat=True))
    assert set(prompts.values()) == {1}
