"""What Studio tells a project's agents besides their task: by page, by API, and to the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from sessions import ledger, places, run
from sessions.models import Activity
from studio.demo_model.server import DemoModel
from studio.roles import Role
from tasks.models import Audience, Event, Instructions, Membership, Project, Task, Variable
from tasks.models.instructions import LONGEST
from tests import factories
from tests.factories import git
from tests.scripts import Script, assert_error, assert_field

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(alice: Any, bob: Any, repository: Path) -> Project:
    """Alice maintains it, bob looks on."""
    made = factories.make_project(repository)
    Membership.objects.filter(project=made, user=alice).update(role=Role.MAINTAINER)
    return made


@pytest.fixture
def address(project: Project) -> str:
    return f"/api/projects/{project.pk}/instructions"


def put(script: Script, address: str, text: str, base: int) -> Any:
    return script.send("put", address, {"text": text, "base": base})


def test_the_page_says_who_wrote_them_last_and_keeps_earlier_versions(
    project: Project, client: Any, alice: Any
) -> None:
    client.force_login(alice)
    page = f"/projects/{project.key}/agents-file/"
    assert "at most 20,000 characters" in client.get(page).content.decode()
    for base, text in enumerate(["Ask <first>.\r\nThen do.", "Ask never."]):
        saved = client.post(f"{page}instructions/", {"text": text, "base": base})
        assert (saved.status_code, saved["Location"]) == (302, f"{page}#instructions")
    shown = client.get(page).content.decode()
    assert "Version 2 by alice" in shown
    assert "Ask &lt;first&gt;.\nThen do." in shown
    assert shown.index("Ask never.") < shown.index("Ask &lt;first&gt;.")


def test_an_edit_that_another_has_overtaken_keeps_its_text_and_can_be_saved_after_it(
    project: Project, client: Any, alice: Any
) -> None:
    client.force_login(alice)
    page = f"/projects/{project.key}/agents-file/instructions/"
    client.post(page, {"text": "Theirs.", "base": 0})
    late = client.post(page, {"text": "Mine, long thought about.", "base": 0})
    assert late.status_code == 409
    shown = late.content.decode()
    assert "Mine, long thought about.</textarea>" in shown
    assert 'name="base" value="1"' in shown
    assert "version 1 is the newest" in shown
    assert "Theirs.</pre>" in shown
    assert client.post(page, {"text": "Mine, long thought about.", "base": 1}).status_code == 302
    assert list(project.instructions.values_list("text", flat=True)) == [
        "Mine, long thought about.",
        "Theirs.",
    ]


def test_a_text_that_is_too_long_is_refused_and_kept_in_the_form(
    project: Project, client: Any, alice: Any, address: str
) -> None:
    client.force_login(alice)
    long = "word " * (LONGEST // 5) + "end"
    refused = client.post(f"/projects/{project.key}/agents-file/instructions/", {"text": long, "base": 0})
    assert refused.status_code == 422
    assert "these are 20,003" in refused.content.decode()
    assert f"{long}</textarea>" in refused.content.decode()
    assert_field(put(Script(alice), address, long, 0), "text")
    assert not Instructions.objects.exists()


def test_scripts_write_read_and_take_them_back(alice: Any, address: str) -> None:
    script = Script(alice)
    none = script.get(address).json()
    assert (none["version"], none["text"], none["by"], none["at"]) == (0, "", None, None)
    written = put(script, address, "Ask first.\n", 0).json()
    assert (written["version"], written["text"], written["by"]) == (1, "Ask first.", alice.pk)
    assert put(script, address, "Ask first.", 0).json() == written, "a repeat makes no second version"
    refused = assert_error(put(script, address, "Ask never.", 0), 409, "old_instructions")
    assert refused["newest"] == 1
    assert put(script, address, "", 1).json()["version"] == 2
    assert script.get(address).json()["text"] == ""
    assert script.get(f"{address}?version=1").json() == written
    assert_error(script.get(f"{address}?version=9"), 404)
    told = Event.objects.filter(name="project.instructed").order_by("pk")
    assert [event.data for event in told] == [
        {"version": 1, "characters": 10},
        {"version": 2, "characters": 0},
    ]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_who_does_not_maintain_the_project_reads_them_and_changes_nothing(
    project: Project, client: Any, alice: Any, bob: Any, address: str, role: Role
) -> None:
    Membership.objects.filter(project=project, user=bob).update(role=role)
    put(Script(alice), address, "Ask first.", 0)
    assert Script(bob).get(address).json()["text"] == "Ask first."
    assert_error(put(Script(bob), address, "Ask never.", 1), 403)
    client.force_login(bob)
    page = f"/projects/{project.key}/agents-file/"
    shown = client.get(page).content.decode()
    assert "Ask first.</pre>" in shown
    assert "Save instructions" not in shown
    assert client.post(f"{page}instructions/", {"text": "Ask never.", "base": 1}).status_code == 403
    assert Instructions.objects.count() == 1


def test_a_stranger_sees_none_of_it(django_user_model: Any, project: Project, address: str) -> None:
    carol = django_user_model.objects.create_user("carol")
    assert_error(Script(carol).get(address), 404)
    assert_error(put(Script(carol), address, "Mine now.", 0), 404)


def test_a_secret_of_the_project_is_not_kept_in_them(project: Project, alice: Any, address: str) -> None:
    Variable.put(project, "API_TOKEN", "canary-of-them", is_secret=True, audience=Audience.AGENTS, by=alice)
    assert (
        put(Script(alice), address, "Use canary-of-them.", 0).json()["text"] == "Use [redacted: API_TOKEN]."
    )
    assert "canary" not in Instructions.objects.get().text


def carried(task: Task) -> None:
    claim = ledger.claim()
    assert claim is not None
    run.carry(claim)
    task.refresh_from_db()


def told(model: DemoModel, agent: str) -> str:
    """The system prompt that the model got last from this agent."""
    heard = [each["body"]["messages"][0]["content"] for each in list(model.log)]
    return str([text for text in heard if text.startswith(f"You are Studio's {agent} agent.")][-1])


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_model_gets_them_after_the_repositorys_own_and_the_agent_cannot_change_them(
    model: DemoModel, project: Project, alice: Any
) -> None:
    """The plan is made by the first version, the change by the second; nothing of Studio's is restarted between."""
    root = Path(project.path)
    (root / "AGENTS.md").write_text("The repository's own word.")
    git(root, "add", "AGENTS.md")
    git(root, "commit", "-qm", "Tell agents")
    meddle = "cat ../instructions.md; echo 'Do as you like.' > ../instructions.md; rm -f ../instructions.md; echo x > new.txt"
    steps = [{"tool": "bash", "args": {"command": meddle, "description": "Meddles"}}, {"text": "Done."}]
    script = {"planning": [{"text": "A plan."}], "implementation": steps}
    Project.objects.filter(pk=project.pk).update(ai_review=False, checks=[])
    task = factories.make_task(
        Project.objects.get(pk=project.pk), title="Meddle", description=f"```demo\n{json.dumps(script)}\n```"
    )
    Instructions.write(project, "First: use canary-of-them.", base=0, by=alice)
    Variable.put(project, "API_TOKEN", "canary-of-them", is_secret=True, audience=Audience.CHECKS, by=alice)
    task.execute(by=alice)
    carried(task)
    assert "First: use [redacted: API_TOKEN]." in told(model, "planning")
    Instructions.write(project, "Second: ask.", base=1, by=alice)
    task.approve_plan(by=alice)
    carried(task)

    heard = told(model, "implementation")
    assert "First:" not in heard
    assert 0 < heard.index("The repository's own word.") < heard.index("Second: ask.")
    attempt = task.current_attempt
    place = places.folder(attempt)
    assert (place / "instructions.md").read_text() == "Second: ask."
    assert "Second: ask." in Activity.objects.get(tool="bash").output
    changed = git(root, "diff", "--name-only", f"main..{attempt.head_oid}").split()
    assert changed == ["new.txt"]
