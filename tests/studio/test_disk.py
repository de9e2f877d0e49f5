"""A disk that is nearly full: nothing starts, what is queued waits, what runs is put aside, and all goes on with more room."""

from typing import Any

import pytest
from django.urls import reverse

from sessions import ledger, run
from sessions.models import Attempt
from sessions.models.attempt import Lease
from sessions.phases.bench import Bench
from sessions.reasons import Failed, Reason
from studio import disk
from tasks.models import Project, Task
from tasks.standing import Standing
from tests import factories
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db

NO_DISK_HAS = 10**9  # megabytes


@pytest.fixture
def short(settings: Any) -> Any:
    """The disk is below the floor, and not yet full."""

    def shrink(floor: float = NO_DISK_HAS) -> None:
        settings.STUDIO_DISK_FLOOR = floor

    return shrink


def just_short() -> float:
    """A floor that is above what is free, while a fourth of it is below."""
    return (disk.free_megabytes(disk.settings.STUDIO_HOME) or 0) * 2


@pytest.mark.parametrize("verb", ["execute", "retry", "approve-plan", "request-changes"])
def test_nothing_starts_below_the_floor_and_nothing_is_changed(
    verb: str, project: Project, alice: Any, short: Any
) -> None:
    status = {
        "execute": "todo",
        "retry": "planning",
        "approve-plan": "planning_review",
        "request-changes": "review",
    }[verb]
    task = factories.make_task(project, status=status)
    factories.make_plan(task)
    factories.make_session(factories.make_attempt(task), state="failed")
    short()
    body = {"comment": "Shorter."} if verb == "request-changes" else {}
    reply = Script(alice).send("post", f"/api/tasks/{task.pk}/{verb}", body)
    assert_error(reply, 507, "disk_full")
    told = reply.json()
    assert told["needed_mb"] == NO_DISK_HAS
    assert f"{told['free_mb']} MB are free" in told["message"]
    task.refresh_from_db()
    assert (task.status, task.comments.count()) == (status, 0)
    assert not task.current_attempt.live_session


def test_a_person_is_told_on_the_page_and_in_the_corner(
    client: Any, task: Task, alice: Any, short: Any
) -> None:
    client.force_login(alice)
    short()
    address = reverse("tasks:execute", args=[task.pk])
    assert client.post(address, headers={"HX-Request": "true"})["HX-Retarget"] == "#toasts"
    page = client.post(address)
    assert page.status_code == 507
    assert "Studio starts nothing below" in page.content.decode()


def test_every_page_has_a_banner_while_the_disk_is_short(
    client: Any, task: Task, alice: Any, short: Any
) -> None:
    client.force_login(alice)
    address = reverse("tasks:detail", args=[task.pk])
    assert "The disk is nearly full" not in client.get(address).content.decode()
    short()
    assert "The disk is nearly full" in client.get(address).content.decode()


def test_what_is_queued_waits_says_why_and_is_claimed_once_there_is_room(
    task: Task, alice: Any, short: Any
) -> None:
    task.execute(by=alice)
    short()
    assert ledger.claim() is None
    assert Standing(task).words.text == "Waits for disk space"
    short(0)
    assert Standing(task).words.text == "Waits for a worker"
    assert ledger.claim() is not None


def test_a_run_goes_on_below_the_floor_and_is_put_aside_on_a_full_disk(
    task: Task, alice: Any, short: Any
) -> None:
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    short(just_short())
    claim.polled = 0
    claim.tick()
    short()
    claim.polled = 0
    with pytest.raises(ledger.DiskFull):
        claim.tick()


@pytest.mark.parametrize(
    ("words", "reason"),
    [("fatal: write error: No space left on device", "disk_full"), ("fatal: bad object", "workspace")],
)
def test_a_failure_for_want_of_space_is_named_so(words: str, reason: str, task: Task, alice: Any) -> None:
    """A quota, say: the file system has room, only not for Studio, so that a person has to help."""
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    session = claim.next_session()
    run.fail(Bench(claim), session, Failed(Reason.WORKSPACE, words))
    session.refresh_from_db()
    assert (session.state, session.reason) == ("failed", reason)


def test_what_ran_out_of_space_is_queued_again_and_waits_for_room(
    task: Task, alice: Any, short: Any, monkeypatch: Any
) -> None:
    """The workspace cannot be made, since nothing can be written: the attempt goes back, and its next try does not count."""
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    short()
    run.carry(claim)
    attempt = Attempt.objects.get(task=task)
    assert (attempt.lease, attempt.tries) == (Lease.CLAIMABLE, 0)
    first, second = attempt.sessions.order_by("pk")
    assert (first.state, first.reason, second.state) == ("interrupted", "disk_full", "queued")
    assert ledger.claim() is None
