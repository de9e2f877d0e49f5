"""`manage.py createtoken`."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from studio.models import ApiToken


def test_it_prints_only_a_token_that_works(alice: Any, client: Client, capsys: Any) -> None:
    call_command("createtoken", "alice")
    token = capsys.readouterr().out
    assert token.startswith("studio_")
    assert token.count("\n") == 1
    assert client.get("/api/tasks", headers={"authorization": f"Bearer {token.strip()}"}).status_code == 200


def test_it_stores_no_token(alice: Any, capsys: Any) -> None:
    call_command("createtoken", "alice")
    kept = ApiToken.objects.get()
    assert capsys.readouterr().out.strip() not in (kept.digest, kept.name)


def test_name_scope_and_days_are_kept(alice: Any) -> None:
    call_command("createtoken", "alice", "--name", "nightly", "--scope", "read", "--days", "7")
    kept = ApiToken.objects.get()
    assert (kept.name, kept.scope) == ("nightly", "read")
    assert timedelta(days=6.9) < kept.expires_at - timezone.now() < timedelta(days=7.1)


def test_zero_days_never_expire(alice: Any) -> None:
    call_command("createtoken", "alice", "--days", "0")
    assert ApiToken.objects.get().expires_at is None


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["alice", "--days", "-1"], ["alice", "--days", "99999999"]]
)
def test_what_cannot_be_is_said_in_a_sentence(alice: Any, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"no user|--days"):
        call_command("createtoken", *arguments)
    assert not ApiToken.objects.exists()


def test_somebody_inactive_gets_none(alice: Any) -> None:
    alice.is_active = False
    alice.save()
    with pytest.raises(CommandError, match="not active"):
        call_command("createtoken", "alice")
