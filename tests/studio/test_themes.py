"""Light, dark, or as the system has it."""

import pytest
from django.urls import reverse


def choose(client, theme, back="/projects/"):
    return client.post(reverse("studio:theme"), {"theme": theme, "back": back})


def test_a_chosen_theme_is_in_the_page_before_any_script(client, alice):
    client.force_login(alice)
    assert "data-theme" not in client.get("/projects/").content.decode()
    assert choose(client, "dark")["Location"] == "/projects/"
    page = client.get("/projects/").content.decode()
    assert '<html lang="en" data-theme="dark">' in page
    assert '<meta name="color-scheme" content="dark">' in page
    choose(client, "")
    assert "data-theme" not in client.get("/projects/").content.decode()


def test_an_unknown_theme_is_refused_and_one_in_a_cookie_is_none(client, alice):
    client.force_login(alice)
    assert choose(client, '"><script>').status_code == 422
    client.cookies["studio_theme"] = "pink"
    assert "data-theme" not in client.get("/projects/").content.decode()


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example/", ""])
def test_the_way_back_stays_here(client, alice, away):
    assert choose(client, "light", away)["Location"] == "/"
