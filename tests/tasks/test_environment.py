"""A project's variables: set by its maintainers, sealed where they are secret, and never shown again."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client

from studio.errors import Conflict, Invalid
from studio.roles import Role
from tasks.models import Audience, Event, Membership, Project, Variable
from tests import factories
from tests.scripts import Script, assert_error, assert_field

SECRET = "canary-4f9a1c77"
ADDRESS = "/projects/DEMO/environment/"


@pytest.fixture
def maintainer(client: Client, alice: Any, project: Project) -> Client:
    """Her browser, who maintains the project."""
    Membership.objects.filter(user=alice, project=project).update(role=Role.MAINTAINER)
    client.force_login(alice)
    return client


def put(project: Project, name: str = "API_TOKEN", value: str | None = SECRET, **fields: Any) -> Variable:
    usual = {"is_secret": True, "audience": Audience.CHECKS, "by": None}
    return Variable.put(project, name, value, **(usual | fields))


def test_a_secret_is_sealed_in_the_database_and_told_by_no_page_and_no_call(
    maintainer: Client, alice: Any, project: Project
) -> None:
    form = {"name": "API_TOKEN", "value": SECRET, "is_secret": "on", "audience": "checks"}
    assert maintainer.post(ADDRESS, form).status_code == 302
    variable = Variable.objects.get()
    assert SECRET not in variable.stored
    assert variable.value == SECRET
    for page in (maintainer.get(ADDRESS), maintainer.get(f"{ADDRESS}?name=API_TOKEN")):
        assert SECRET not in page.content.decode()
        assert "API_TOKEN" in page.content.decode()
        assert "Set by alice" in page.content.decode()
    reply = Script(alice).get(f"/api/projects/{project.pk}/environment")
    (told,) = reply.json()
    assert (told["name"], told["value"], told["changed_by"]) == ("API_TOKEN", None, alice.pk)
    events = Event.objects.filter(project=project).values_list("name", "data")
    assert [name for name, _ in events] == ["project.variable_set"]
    assert SECRET not in str(list(events))


def test_what_is_no_secret_is_shown(maintainer: Client, project: Project) -> None:
    maintainer.post(ADDRESS, {"name": "REGION", "value": "north", "audience": "agents"})
    assert "north" in maintainer.get(ADDRESS).content.decode()


def test_a_variable_is_changed_and_removed_by_script(
    maintainer: Client, alice: Any, project: Project
) -> None:
    script, calls = Script(alice), f"/api/projects/{project.pk}/environment"
    made = script.send("post", calls, {"name": "API_TOKEN", "value": SECRET}).json()
    kept = script.send("post", calls, {"name": "API_TOKEN", "audience": "agents"}).json()
    assert (kept["id"], kept["audience"]) == (made["id"], "agents")
    assert project.variables.get().value == SECRET
    assert script.send("delete", f"{calls}/{made['id']}").status_code == 204
    assert not project.variables.exists()
    assert_field(script.send("post", calls, {"name": "API_TOKEN"}), "value")
    assert_error(script.send("delete", f"{calls}/{made['id']}"), 404)


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "LD_PRELOAD", "GIT_SSH_COMMAND", "OPENCODE_CONFIG", "STUDIO_ATTEMPT", "XDG_DATA_HOME",
     "lower", "1ST", "A-B", "A B", "A\n", "Ä", "", "A" * 101],
)  # fmt: skip
def test_a_name_that_is_none_or_studios_own_is_refused(project: Project, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        put(project, name)
    assert refused.value.fields.keys() == {"name"}


@pytest.mark.parametrize("value", ["short", "       1       ", "", "nul\0inside", "x" * 40_000])
def test_a_value_that_could_not_be_redacted_or_passed_on_is_refused(project: Project, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        put(project, value=value)
    assert refused.value.fields.keys() == {"value"}


def test_a_secret_is_not_made_readable_by_calling_it_none(project: Project) -> None:
    put(project)
    with pytest.raises(Invalid):
        put(project, value=None, is_secret=False)
    assert SECRET not in project.variables.get().stored


def test_with_another_key_a_secret_is_lost_and_can_be_set_again(project: Project, settings: Any) -> None:
    variable = put(project)
    settings.STUDIO_VAULT_KEY = Fernet.generate_key().decode()
    with pytest.raises(Conflict, match="vault key"):
        assert variable.value
    assert put(project).value == SECRET


@pytest.mark.parametrize("who", ["alice", "bob", "charlie"])
def test_only_maintainers_see_or_set_the_environment(
    who: str, client: Client, project: Project, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(who)
    client.force_login(person)
    refused = 404 if who == "charlie" else 403
    variable = put(project)
    calls = f"/api/projects/{project.pk}/environment"
    form = {"name": "OTHER", "value": SECRET, "audience": "agents"}
    script = Script(person)
    for reply in (
        client.get(ADDRESS), client.post(ADDRESS, form), client.post(f"{ADDRESS}{variable.pk}/remove/"),
        script.get(calls), script.send("post", calls, form), script.send("delete", f"{calls}/{variable.pk}"),
    ):  # fmt: skip
        assert reply.status_code == refused
    assert list(project.variables.all()) == [variable]


def test_a_variable_of_another_project_is_not_there(maintainer: Client, alice: Any, project: Project) -> None:
    other = put(factories.make_project("/elsewhere", roles={}))
    assert maintainer.post(f"{ADDRESS}{other.pk}/remove/").status_code == 404
    assert (
        Script(alice).send("delete", f"/api/projects/{project.pk}/environment/{other.pk}").status_code == 404
    )
    assert Variable.objects.filter(pk=other.pk).exists()
