"""The breaker: a provider that fails again and again is left alone, its queue waits, and one session at a time tries it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from sessions import ledger
from sessions.admission import admitted
from sessions.models import Attempt, Breaker, Session
from sessions.reasons import Reason
from studio.roles import Role
from tasks.models import Event, Membership, Project, Task
from tests import factories

pytestmark = pytest.mark.django_db


def fail(times: int, reason: Reason = Reason.PROVIDER_ERROR, **fields: Any) -> Breaker:
    for _ in range(times):
        breaker = Breaker.failed("demo", reason, "No.", **({"attempt": 0} | fields))
    return breaker


def due(breaker: Breaker) -> None:
    Breaker.objects.filter(pk=breaker.pk).update(try_at=timezone.now())


def queued(project: Project, count: int) -> list[Task]:
    tasks = [factories.make_task(project) for _ in range(count)]
    for task in tasks:
        task.execute()
    return tasks


def test_five_failures_in_a_row_pause_the_queue_with_one_notice(project: Project) -> None:
    queued(project, 3)
    assert fail(4).state == "closed"
    Breaker.succeeded("demo")
    assert fail(4).state == "closed", "an answer starts the count again"
    assert fail(1).state == "open"
    fail(7)  # of those that were still at work
    assert ledger.claim() is None
    assert list(Event.objects.filter(name__startswith="provider.").values_list("name", flat=True)) == [
        "provider.paused"
    ]


def test_one_session_at_a_time_tries_a_paused_provider_and_its_answer_closes_the_breaker(
    project: Project,
) -> None:
    queued(project, 3)
    breaker = fail(5)
    due(breaker)
    prober = ledger.claim()
    assert prober is not None
    assert ledger.claim() is None
    Breaker.succeeded("demo", "demo/demo")
    assert ledger.claim() is not None
    assert ledger.claim() is not None
    assert Event.objects.filter(name="provider.resumed").count() == 1


def test_a_try_that_fails_waits_twice_as_long_and_as_long_as_the_provider_says(
    project: Project, settings: Any
) -> None:
    queued(project, 2)
    waits = []
    for _ in range(3):
        breaker = Breaker.objects.filter(name="demo", state="open").first() or fail(5)
        due(breaker)
        claim = ledger.claim()
        assert claim is not None
        breaker = fail(1, attempt=claim.attempt.pk)
        assert breaker.try_at is not None
        waits.append((breaker.try_at - timezone.now()).total_seconds())
        ledger.take_back(claim.attempt, gone=True)
    pause = settings.STUDIO_PROVIDER_PAUSE_SECONDS
    assert waits == pytest.approx([2 * pause, 4 * pause, 8 * pause], abs=2)
    due(breaker)
    claim = ledger.claim()
    assert claim is not None
    said = timezone.now() + timedelta(hours=1)
    assert fail(1, attempt=claim.attempt.pk, again_at=said).try_at == said


def test_a_try_whose_worker_died_is_not_waited_for(project: Project) -> None:
    queued(project, 2)
    due(fail(5))
    first = ledger.claim()
    assert first is not None
    ledger.take_back(first.attempt, gone=True)
    Breaker.objects.update(try_at=timezone.now())
    assert ledger.claim() is not None


def test_a_refused_key_pauses_at_once_and_waits_for_a_person_or_another_set_up(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from sessions.opencode import provider

    queued(project, 1)
    breaker = fail(1, Reason.PROVIDER_LOGIN, setup=provider.current().fingerprint)
    assert (breaker.state, breaker.try_at) == ("open", None)
    assert ledger.claim() is None
    assert breaker.try_again()
    claim = ledger.claim()
    assert claim is not None
    breaker = fail(1, Reason.PROVIDER_LOGIN, setup="of another set-up", attempt=claim.attempt.pk)
    ledger.take_back(claim.attempt, gone=True)
    assert breaker.state == "open"
    assert ledger.claim() is not None, "the set-up is another than the one that failed"


def test_a_missing_model_pauses_that_model_only(project: Project, repository: Any) -> None:
    Breaker.failed("acme/none", Reason.MODEL_MISSING, "No such model.", attempt=0)
    queued(project, 1)
    assert ledger.claim() is not None


def test_checks_need_no_provider(project: Project) -> None:
    [task] = queued(project, 1)
    Attempt.objects.filter(task=task).update(phase="checks")
    fail(5)
    assert ledger.claim() is not None


def test_a_session_that_is_put_off_goes_on_in_the_same_conversation_and_its_retry_counts(
    project: Project,
) -> None:
    queued(project, 1)
    claim = ledger.claim()
    assert claim is not None
    session = claim.next_session()
    assert session is not None
    Session.objects.filter(pk=session.pk).update(opencode_session_id="ses_1", prompt_ids=["msg_1"])
    claim.put_off(ledger.PutOff(session, Reason.PROVIDER_ERROR, "No.", 60))
    session.refresh_from_db()
    assert session.state == "queued", "what had not begun is not interrupted"
    claim.attempt.refresh_from_db()
    assert (claim.attempt.lease, claim.attempt.retries, claim.attempt.tries) == ("claimable", 1, 0)
    assert not list(admitted("")), "not before its time"
    Attempt.objects.update(not_before=timezone.now())
    again = ledger.claim()
    assert again is not None
    begun = again.next_session()
    assert begun is not None
    begun.advance("starting")
    again.put_off(ledger.PutOff(begun, Reason.PROVIDER_ERROR, "No.", 0))
    begun.refresh_from_db()
    assert (begun.state, begun.reason) == ("interrupted", "provider_error")
    last = again.attempt.last_session
    assert last is not None
    assert (last.state, last.opencode_session_id, last.resumes_id) == ("queued", "ses_1", begun.pk)
    assert Attempt.objects.get(pk=again.attempt.pk).retries == 1, (
        "a provider that is down for all is no retry"
    )


def test_a_cancel_while_it_is_put_off_wins(project: Project, alice: Any) -> None:
    [task] = queued(project, 1)
    claim = ledger.claim()
    assert claim is not None
    session = claim.next_session()
    assert session is not None
    assert not task.cancel(by=alice)
    claim.put_off(ledger.PutOff(session, Reason.PROVIDER_ERROR, "No.", 60))
    task.refresh_from_db()
    assert task.status == "cancelled"


def test_the_board_and_the_card_say_what_waits_and_a_maintainer_has_it_tried(
    client: Client, project: Project, alice: Any, bob: Any
) -> None:
    queued(project, 1)
    breaker = fail(5)
    client.force_login(alice)
    html = client.get(f"/projects/{project.key}/").content.decode()
    assert "The provider demo is paused." in html
    assert "Waits for the provider" in html
    assert 'Studio tries again at <time datetime="' in html
    address = f"/providers/{breaker.pk}/try-again/"
    client.force_login(bob)
    assert client.post(address).status_code == 403
    Membership.objects.filter(project=project, user=alice).update(role=Role.MAINTAINER)
    client.force_login(alice)
    assert client.post(address).status_code == 302
    assert ledger.claim() is not None
