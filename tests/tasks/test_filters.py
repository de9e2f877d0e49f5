"""The filter of a board and its list: it is the address, and can be kept under a name."""

import pytest
from django.urls import reverse
from django.utils.http import urlencode

from tasks.models import SavedFilter
from tests import factories


@pytest.fixture
def tasks(project, alice):
    return {
        "mine": factories.make_task(project, title="Mend the clock", assignee=alice, labels=["Größe", "api"]),
        "urgent": factories.make_task(project, title="Wind it up", priority=1, description="The clock, too"),
        "review": factories.make_task(project, title="Paint the door", status="review", labels=["api docs"]),
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "CLOCK"}, {"mine", "urgent"}),
        ({"q": "100%"}, set()),
        ({"q": "DEMO-3"}, {"review"}),
        ({"label": "api"}, {"mine"}),
        ({"label": "Größe"}, {"mine"}),
        ({"assignee": "alice"}, {"mine"}),
        ({"assignee": "~me"}, {"mine"}),
        ({"assignee": "~nobody"}, {"urgent", "review"}),
        ({"priority": "1"}, {"urgent"}),
        ({"state": "review"}, {"review"}),
        ({"q": "clock", "assignee": "~nobody"}, {"urgent"}),
    ],
)
def test_a_board_and_its_list_show_what_the_address_asks_for(member, project, tasks, asked, found):
    for view, mark in (("board", "task"), ("list", "row")):
        page = member.get(f"/projects/{project.key}/?{urlencode({**asked, 'view': view})}").content.decode()
        assert {name for name, task in tasks.items() if f'id="{mark}-{task.pk}"' in page} == found


def test_a_column_that_is_fetched_afresh_keeps_the_filter(member, project, tasks):
    board = member.get(f"/projects/{project.key}/?q=wind").content.decode()
    assert f"/projects/{project.key}/columns/to-do/?q=wind" in board
    assert "data-ring-only" in board
    part = member.get(f"/projects/{project.key}/columns/to-do/?q=wind").content.decode()
    assert ("Wind it up" in part, "Mend the clock" in part) == (True, False)


@pytest.mark.parametrize(
    "asked", ["state=flying", "priority=9", "assignee=mallory", "q=%00", "view=list&sort=x"]
)
def test_a_filter_for_what_is_not_there_is_refused_in_words(member, project, asked):
    assert member.get(f"/projects/{project.key}/?{asked}").status_code == 422


def test_the_list_is_sorted_by_what_its_headings_say(member, project, tasks):
    def order(sort):
        page = member.get(f"/projects/{project.key}/?view=list&sort={sort}").content.decode()
        return sorted(tasks, key=lambda name: page.index(f'id="row-{tasks[name].pk}"'))

    assert order("title") == ["mine", "review", "urgent"]
    assert order("-title") == ["urgent", "review", "mine"]
    assert order("priority")[0] == "urgent"


def test_the_board_of_all_projects_can_be_cut_to_one(member, project, tasks):
    other = factories.make_task(factories.make_project(key="OTHER"), title="Elsewhere")
    page = member.get("/?project=OTHER").content.decode()
    assert (f'id="task-{other.pk}"' in page, f'id="task-{tasks["mine"].pk}"' in page) == (True, False)


# --- kept under a name -------------------------------------------------------------------------------------------


def save(client, project, name="Mine", query="assignee=~me", **more):
    return client.post(
        reverse("tasks:save-filter"), {"name": name, "query": query, "project": project.key, **more}
    )


def test_a_saved_filter_is_a_link_that_its_person_can_delete(member, project):
    assert save(member, project)["Location"] == f"/projects/{project.key}/?assignee=~me"
    assert save(member, project, query="priority=1").status_code == 302  # it takes the place of the first
    saved = SavedFilter.objects.get()
    link = f'<a href="/projects/{project.key}/?priority=1">Mine</a>'
    assert link in member.get(f"/projects/{project.key}/").content.decode()
    member.post(reverse("tasks:delete-filter", args=[saved.pk]))
    assert link not in member.get(f"/projects/{project.key}/").content.decode()


def test_others_see_a_filter_that_is_shared_and_cannot_delete_it(member, client, project, bob):
    save(member, project, "Secret")
    save(member, project, "Ours", shared="1")
    client.force_login(bob)
    page = client.get(f"/projects/{project.key}/").content.decode()
    assert ("Ours" in page, "Secret" in page) == (True, False)
    for saved in SavedFilter.objects.all():
        assert client.post(reverse("tasks:delete-filter", args=[saved.pk])).status_code in {403, 404}
    assert save(client, project, "Also ours", shared="1").status_code == 403
    assert SavedFilter.objects.count() == 2


@pytest.mark.parametrize(("name", "query"), [("", "q=a"), ("Bad", "state=flying"), ("Empty", "")])
def test_a_filter_without_name_or_sense_is_not_kept(member, project, name, query):
    assert save(member, project, name, query).status_code == 422
    assert not SavedFilter.objects.exists()
