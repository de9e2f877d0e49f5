"""What agents, checks and providers say is stored without secrets."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.db import connection

from sessions import places, redaction
from sessions.models import Activity, CheckResult, Session
from sessions.opencode.parts import PartSnapshot
from sessions.opencode.provider import Provider
from sessions.opencode.status import Permission, Question, Retry
from sessions.redaction import Redactor
from studio.demo_model.server import DemoModel
from studio.models import ApiToken
from tasks.models import Finding, Plan
from tests import factories
from tests.sessions.test_environment import carried, put

SECRET = 'canary "4f9a" with/odd+signs=='
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nsecondlineofthekey0123\n-----END KEY-----\n"
REDACTED = "[redacted: API_TOKEN]"
redactor = Redactor({SECRET: "API_TOKEN", KEY: "DEPLOY_KEY", "tiny": "TINY"})


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        json.dumps({"token": SECRET}),
        f"https://example.org/?key={quote(SECRET, safe='')}",
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"{SECRET}\n".encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(f"me:{SECRET}:too".encode()).decode(),
    ],
)
def test_a_secret_is_found_as_it_is_often_spelt(said: str) -> None:
    redacted = redactor.text(f"before {said} after")
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "4f9a" not in redacted


def test_each_line_of_a_key_is_a_secret_and_its_armour_is_none() -> None:
    assert "MIIE" not in redactor.text(KEY)
    assert "second" not in redactor.text("    secondlineofthekey0123")
    assert redactor.text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_the_longer_secret_wins_where_one_holds_the_other() -> None:
    both = Redactor({"password": "SHORT", "password-and-more": "LONG"})
    assert both.text("password-and-more password") == "[redacted: LONG] [redacted: SHORT]"


def test_what_is_too_short_to_be_told_from_other_words_stays() -> None:
    assert redactor.text("a tiny house") == "a tiny house"


@pytest.mark.parametrize("length", range(1, len(SECRET)))
def test_of_a_secret_that_comes_piece_by_piece_no_piece_is_stored(length: int) -> None:
    so_far = redactor.text(f"It is {SECRET[:length]}", goes_on=True)
    assert so_far in (f"It is {SECRET[:length]}" if length < 4 else "It is ", "It is ")
    assert redactor.text(f"It is {SECRET}", goes_on=True) == f"It is {REDACTED}"


def test_what_only_looks_like_a_secret_comes_once_the_part_is_whole() -> None:
    part = PartSnapshot("prt_1", "msg_1", "ses_1", "", 0, "assistant", "message", "running", text="a canary")
    assert redactor.value(part).text == "a "
    whole = PartSnapshot(
        "prt_1", "msg_1", "ses_1", "", 0, "assistant", "message", "completed", text="a canary"
    )
    assert redactor.value([whole]) == [whole]


def test_a_secret_across_the_middle_that_was_left_out_leaves_no_half() -> None:
    cut = f"head {SECRET[:12]}\n[… 4711 bytes left out …]\n{SECRET[12:]} tail {SECRET}"
    assert redactor.pieces(cut) == f"head \n[… 4711 bytes left out …]\n tail {REDACTED}"


def test_what_the_agent_asks_and_what_the_provider_says_is_redacted_all_through() -> None:
    asked = Permission(
        "per_1", "ses_1", "bash", (f"curl {SECRET}",), ("curl *",), {"command": f"curl {SECRET}"},
        {"tool": "bash", "input": {SECRET: [SECRET]}},
    )  # fmt: skip
    question = Question(
        "que_1", "ses_1", [{"question": f"Is {SECRET} right?", "options": [{"label": SECRET}]}]
    )
    at = datetime.now(UTC)
    for said in (asked, question, Retry(2, f"wrong key {SECRET}", at)):
        redacted = redactor.value(said)
        assert SECRET not in str(redacted)
        assert REDACTED in str(redacted)
        assert type(redacted) is type(said)
    assert redactor.value(Retry(2, "x", at)).next_at == at


@pytest.mark.django_db
def test_studios_own_keys_and_tokens_and_the_providers_are_secrets_too(
    alice: Any, project: Any, settings: Any
) -> None:
    provider = Provider(
        kind="configured",
        label="",
        auth={"one": {"type": "api", "key": "key-of-provider-one"}},
        config={"provider": {"two": {"options": {"apiKey": "key-of-provider-two", "headers": {"x": "header-of-two"}}}}},
        environment={"THREE_KEY": "key-of-provider-three"},
    )  # fmt: skip
    token = ApiToken.issue(alice)
    made = Redactor(redaction.secrets(project, provider))
    for secret in (
        token, settings.SECRET_KEY, settings.STUDIO_VAULT_KEY,
        "key-of-provider-one", "key-of-provider-two", "key-of-provider-three", "header-of-two",
    ):  # fmt: skip
        assert secret not in made.text(f"it is {secret}."), secret
    assert made.text("studio_name_of_a_function") == "studio_name_of_a_function"


def everything_stored() -> Iterator[tuple[str, str]]:
    """Each row of the database as text, with its table; of a task without the description, which a person wrote."""
    for table in apps.get_models():
        for row in table.objects.values() if hasattr(table, "objects") else ():
            row.pop("description", None)
            yield table.__name__, str(row)


@contextmanager
def watched(words: str) -> Iterator[list[str]]:
    """What was in the activity with these words, at any time while the block ran."""
    leaks: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            leaks.extend(str(row) for row in Activity.objects.values() if words in str(row))
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield leaks
    finally:
        over.set()
        watcher.join()


@pytest.mark.real
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_whatever_says_a_secret_no_row_and_no_log_has_it(
    repository: Path, model: DemoModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent prints its environment, plans, answers and reviews with the secret; the provider and a check say it too."""
    secret, hidden = "canary-of-agents-4f9a1c77", "canary-of-checks-93b1d0e2"
    told = f"The token is {secret}."
    printing = "env; echo $API_TOKEN | base64; echo only the check has ${DEPLOY_KEY:-nothing}; echo $API_TOKEN > new.txt"
    found = {
        "severity": "warning",
        "title": f"Hard-coded {secret}",
        "body": told,
        "path": "new.txt",
        "line": 1,
    }
    script = {
        "planning": [{"text": f"## Plan\n\n{told}"}],
        "implementation": [
            {"tool": "bash", "args": {"command": printing, "description": told}},
            {"reasoning": told, "text": told, "chunk_delay": 0.02},
        ],
        "review": [{"verdict": {"verdict": "changes_requested", "summary": told, "findings": [found]}}],
        "fix": [{"error": 400, "message": f"bad key {secret}"}],
    }
    check = {"name": "prints", "command": "echo $DEPLOY_KEY; env", "timeout": 20, "required": True}
    project = factories.make_project(
        repository, checks=[check], plan_approval=False, max_fix_rounds=1, permissions={"bash": "allow"}
    )
    put(project, "API_TOKEN", secret, "agents")
    put(project, "DEPLOY_KEY", hidden)
    task = factories.make_task(project, description=f"```demo\n{json.dumps(script)}\n```")
    task.execute()
    said = "[redacted: API_TOKEN]"
    with watched(secret[:12]) as leaks:
        failed = carried(task)
    assert not leaks, "while it was being said"
    assert (failed.phase, failed.state, failed.detail) == ("fix", "failed", f"bad key {said}")
    assert said in Plan.objects.get().body
    (shell,) = Activity.objects.filter(tool="bash")
    assert f"API_TOKEN={said}" in shell.output
    assert "only the check has nothing" in shell.output
    assert "[redacted: OPENCODE_SERVER_PASSWORD]" in shell.output
    assert said in Activity.objects.filter(kind="reasoning").get().text
    assert "[redacted: DEPLOY_KEY]" in CheckResult.objects.get().output
    finding = Finding.objects.get()
    assert said in finding.title
    assert finding.quote == said, "the agent has written it into the change, where it stays"
    assert said in Session.objects.get(phase="review").result["summary"]
    encoded = base64.b64encode(secret.encode()).decode()[:20]
    for name, row in everything_stored():
        assert not [each for each in (secret, hidden, encoded) if each in row], f"{name}: {row}"
    log = places.folder(shell.session.attempt) / "opencode.log"
    assert not [each for each in (secret, hidden) if each in caplog.text + log.read_text()]
