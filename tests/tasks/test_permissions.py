"""What agents may do: a project says it class by class, a task what differs."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sessions.opencode import config
from sessions.opencode.provider import demo
from tasks import permissions
from tasks.models import Project, Task
from tests import factories
from tests.scripts import Script


def test_what_reaches_outside_is_asked_for_unless_somebody_says_otherwise(task: Task) -> None:
    usual = task.policy.permissions
    assert {name for name, action in usual.items() if action == "allow"} == {"bash", "edit", "task"}
    assert set(usual.values()) == {"allow", "ask"}
    task.project.permissions = {"bash": "ask", "read": "deny"}
    task.policies = {"permissions": {"read": "allow"}}
    assert task.policy.permissions == usual | {"bash": "ask", "read": "allow"}
    assert task.project.policy.permissions == usual | {"bash": "ask", "read": "deny"}


def test_scripts_set_some_classes_and_leave_the_others(project: Project, task: Task, alice: Any) -> None:
    project.memberships.filter(user=alice).update(role="maintainer")
    script = Script(alice)
    address = f"/api/projects/{project.pk}"
    script.send("patch", address, {"permissions": {"bash": "ask"}})
    shown = script.send("patch", address, {"permissions": {"webfetch": "allow"}}).json()["permissions"]
    assert shown == permissions.complete({"bash": "ask", "webfetch": "allow"})
    for wrong in ({"bash": "perhaps"}, {"sudo": "allow"}, {"question": "allow"}):
        assert script.send("patch", address, {"permissions": wrong}).status_code == 422
    own = {"policies": {"permissions": {"edit": "deny"}}}
    assert script.send("patch", f"/api/tasks/{task.pk}", own).json()["policies"] == own["policies"]
    assert Task.objects.get(pk=task.pk).policy.permissions["edit"] == "deny"


def test_a_maintainer_sets_them_in_the_projects_settings(
    client: Client, project: Project, alice: Any
) -> None:
    project.memberships.filter(user=alice).update(role="maintainer")
    client.force_login(alice)
    address = reverse("tasks:project-settings", args=[project.key])
    page = client.get(address).content.decode()
    assert "Look outside of the workspace" in page
    data = {"name": project.name, "target_branch": "main", "checks": "", "max_fix_rounds": "3"}
    assert client.post(address, data | {"permission_bash": "ask"}).status_code == 302
    project.refresh_from_db()
    assert project.policy.permissions == permissions.complete({"bash": "ask"})
    assert client.post(address, data | {"permission_question": "allow"}).status_code == 422


def test_an_operator_sets_them_in_admin(client: Client, project: Project, admin: Any) -> None:
    client.force_login(admin)
    address = reverse("admin:tasks_project_change", args=[project.pk])
    form = client.get(address).context["adminform"].form
    data = {name: form[name].value() for name in form.fields} | {"checks": "[]", "readable_paths": "[]"}
    data = {name: value for name, value in data.items() if value not in (None, False)}
    data |= {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    wrong = client.post(address, data | {"permissions": '{"bash": "perhaps"}'})
    assert "bash" in str(wrong.context["adminform"].form.errors["permissions"])
    assert client.post(address, data | {"permissions": '{"bash": "ask"}'}).status_code == 302
    project.refresh_from_db()
    assert project.permissions == {"bash": "ask"}


def rules(tmp_path: Path, **actions: str) -> Any:
    chosen = permissions.complete(actions)
    return config.build(demo([]), workspace=tmp_path, data=tmp_path, permissions=chosen)


def test_the_rules_are_the_servers_so_that_sub_agents_keep_them(tmp_path: Path) -> None:
    built = rules(tmp_path, bash="ask", edit="deny", external_directory="allow")
    everyone = built["permission"]
    assert (everyone["bash"], everyone["edit"], everyone["webfetch"]) == ("ask", "deny", "ask")
    assert everyone["external_directory"]["*"] == "allow"
    assert everyone["read"]["*.env"] == "ask"
    builder = built["agent"][config.BUILD_AGENT]["permission"]
    assert (builder["bash"], builder["edit"], builder["question"]) == ("ask", "deny", "allow")


@pytest.mark.parametrize("action", ["allow", "ask"])
def test_no_policy_lets_an_agent_that_reads_write(tmp_path: Path, action: str) -> None:
    built = rules(tmp_path, bash=action, edit=action, task=action, webfetch=action)
    for name in (config.PLAN_AGENT, config.REVIEW_AGENT):
        own = built["agent"][name]["permission"]
        assert (own["edit"], own["task"], own["webfetch"], own["bash"]["*"]) == ("deny",) * 4
    assert built["agent"][config.PLAN_AGENT]["permission"]["question"] == "allow"
    assert built["agent"][config.REVIEW_AGENT]["permission"]["question"] == "deny"
    assert '"question": "allow"' not in json.dumps(rules(tmp_path, question="deny"))


def test_an_answered_command_wins_over_a_class_that_asks(tmp_path: Path) -> None:
    asks = permissions.complete({"bash": "ask"})
    own = {"bash": {"rm ?.log": "allow"}}
    built = config.build(demo([]), workspace=tmp_path, data=tmp_path, permissions=asks, rules=own)
    for found in (built["permission"], built["agent"][config.BUILD_AGENT]["permission"]):
        assert list(found["bash"].items()) == [("*", "ask"), ("rm ?.log", "allow")]


def test_a_viewer_changes_no_permission(project: Project, bob: Any) -> None:
    body = {"permissions": {"bash": "allow"}}
    assert Script(bob).send("patch", f"/api/projects/{project.pk}", body).status_code == 403
    assert factories.make_task(project).policy.permissions["bash"] == "allow"


def test_a_class_without_patterns_gets_one_action_or_stays_as_it_is() -> None:
    asked = {"webfetch": "ask", "doom_loop": "ask", "bash": "ask"}
    page = {"webfetch": {"http://127.0.0.1:9/page": "allow"}, "doom_loop": {"bash": "allow"}}
    assert config.merged(asked, page) == asked
    assert config.merged(asked, {"webfetch": {"*": "allow"}})["webfetch"] == "allow"
