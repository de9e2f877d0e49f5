"""The models that OpenCode says it has: kept by the set-up that they are of, proposed in the settings, and asked for by script."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from sessions.models import ModelList
from sessions.opencode import provider
from studio.roles import Role
from tasks.models import Membership, Project
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db

KNOWN = {"acme": ["large", "org/small:free"], "demo": ["demo"]}
NAMES = ["acme/large", "acme/org/small:free", "demo/demo"]


@pytest.fixture
def maintainer(project: Project, alice: Any) -> Any:
    """Alice, as one of the project's maintainers."""
    Membership.objects.filter(project=project, user=alice).update(role=Role.MAINTAINER)
    return alice


@pytest.fixture
def read() -> None:
    """A server has named its models, with the set-up of now."""
    ModelList.note(provider.current().fingerprint, KNOWN)


def settings_page(client: Client, person: Any, project: Project) -> str:
    client.force_login(person)
    return client.get(f"/projects/{project.key}/settings/").content.decode()


def test_before_the_first_session_the_page_says_when_the_list_comes(
    client: Client, maintainer: Any, project: Project
) -> None:
    page = settings_page(client, maintainer, project)
    assert "comes with the next session that starts an agent" in page
    assert "<option value=" not in page.partition('<datalist id="models">')[2].partition("</datalist>")[0]
    said = Script(maintainer).get("/api/models").json()
    assert (said["models"], said["read_at"]) == ([], None)
    assert "next session" in said["message"]


def test_the_settings_propose_what_opencode_named(
    client: Client, maintainer: Any, project: Project, read: None
) -> None:
    page = settings_page(client, maintainer, project)
    for name in NAMES:
        assert f'<option value="{name}">' in page
    assert page.count('list="models"') == 5
    assert Script(maintainer).get("/api/models").json()["models"] == NAMES


def test_another_set_up_has_other_models(
    client: Client,
    maintainer: Any,
    project: Project,
    read: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = tmp_path / "opencode.json"
    changed.write_text('{"provider": {"other": {"options": {"apiKey": "secret-of-theirs"}}}}')
    monkeypatch.setenv("STUDIO_OPENCODE_CONFIG", str(changed))
    assert Script(maintainer).get("/api/models").json()["models"] == []
    changed.write_text("{")
    assert "cannot be read" in Script(maintainer).get("/api/models").json()["message"]
    assert "cannot be read" in settings_page(client, maintainer, project)


def test_a_model_that_opencode_did_not_name_is_saved_with_a_warning(
    client: Client, maintainer: Any, project: Project, read: None
) -> None:
    address = f"/projects/{project.key}/settings/"
    client.force_login(maintainer)
    data = {"name": "Demo", "target_branch": "main", "max_fix_rounds": 3}
    answer = client.post(
        address, data | {"model": "acme/large", "fix_model": "acme/lagre"}, follow=True
    ).content.decode()
    assert "OpenCode did not name acme/lagre" in answer
    assert "OpenCode did not name acme/large" not in answer
    assert "OpenCode did not name acme/lagre" in settings_page(client, maintainer, project)
    project.refresh_from_db()
    assert project.model_for("fix") == "acme/lagre"


def test_a_script_is_warned_too_once_there_is_a_list(maintainer: Any, project: Project) -> None:
    address = f"/api/projects/{project.pk}"
    script = Script(maintainer)
    assert script.send("patch", address, {"review_model": "acme/nope"}).json()["warnings"] == []
    ModelList.note(provider.current().fingerprint, KNOWN)
    warned = script.send("patch", address, {"review_model": "acme/nope", "model": "acme/large"}).json()
    assert len(warned["warnings"]) == 1
    assert "acme/nope" in warned["warnings"][0]


def test_the_list_is_written_only_when_it_changes_and_holds_ids_that_fit(settings: Any) -> None:
    ModelList.note("setup", {"acme": ["a", "x" * 300, "<b>"], "big": [str(n) for n in range(6000)]})
    first = ModelList.objects.get()
    assert (len(first.names), max(map(len, first.names)) <= 200) == (5000, True)
    ModelList.note("setup", {"acme": ["a", "x" * 300, "<b>"], "big": [str(n) for n in range(6000)]})
    assert ModelList.objects.get().read_at == first.read_at
    ModelList.note("setup", {"acme": ["a"]})
    assert ModelList.objects.get().names == ["acme/a"]


def test_a_name_of_opencodes_is_shown_as_text(client: Client, maintainer: Any, project: Project) -> None:
    ModelList.note(provider.current().fingerprint, {"acme": ['"><script>alert(1)</script>']})
    assert "<script>alert(1)" not in settings_page(client, maintainer, project)


def test_strangers_are_told_no_models(client: Client, db: None) -> None:
    assert_error(client.get("/api/models"), 401)
