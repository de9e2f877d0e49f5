"""Signing in and out, and the pages for what goes wrong."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio import context
from studio.models import SignInLink
from tests import factories

SIGN_IN = "/sign-in/"


def test_a_name_and_a_password_lead_to_where_the_person_wanted_to_go(client, alice):
    data = {"username": "alice", "password": factories.PASSWORD, "next": "/projects/"}
    assert client.post(SIGN_IN, data)["Location"] == "/projects/"
    assert client.get("/projects/").status_code == 200


def test_a_wrong_password_is_said_in_the_form(client, alice):
    answer = client.post(SIGN_IN, {"username": "alice", "password": "wrong"})
    assert answer.status_code == 422
    assert b"correct username and password" in answer.content


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org/", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(client, alice, elsewhere):
    answer = client.post(SIGN_IN, {"username": "alice", "password": factories.PASSWORD, "next": elsewhere})
    assert answer["Location"] == reverse("tasks:home")


def test_a_link_signs_its_person_in_once(alice):
    token = SignInLink.issue(alice)
    first, second = Client(), Client()
    assert first.get(SIGN_IN, {"token": token})["Location"] == reverse("tasks:home")
    assert first.get("/projects/").status_code == 200
    used = second.get(SIGN_IN, {"token": token})
    assert used.status_code == 403
    assert b"does not work any more" in used.content


def test_opening_the_link_again_in_the_same_browser_is_no_mistake(client, alice):
    token = SignInLink.issue(alice)
    client.get(SIGN_IN, {"token": token})
    assert client.get(SIGN_IN, {"token": token})["Location"] == reverse("tasks:home")


def test_an_old_link_does_not_work(client, alice):
    token = SignInLink.issue(alice)
    SignInLink.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert client.get(SIGN_IN, {"token": token}).status_code == 403


def test_a_look_ahead_does_not_use_the_link_up(client, alice):
    token = SignInLink.issue(alice)
    client.head(SIGN_IN, {"token": token})
    client.get(SIGN_IN, {"token": token}, headers={"Sec-Purpose": "prefetch"})
    assert client.get(SIGN_IN, {"token": token}).status_code == 302


def test_signing_out_takes_a_post(client, alice):
    client.force_login(alice)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == SIGN_IN
    assert client.get("/projects/")["Location"].startswith(SIGN_IN)


def test_a_page_that_is_not_there_says_so(client, alice):
    client.force_login(alice)
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert b"There is nothing here" in answer.content


def test_a_form_of_an_old_page_is_refused_kindly(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert b"Reload the page" in client.post("/sign-out/").content
    assert b"toast--error" in client.post("/sign-out/", headers={"HX-Request": "true"}).content


def test_every_page_forbids_foreign_and_inline_code(client, db):
    policy = client.get(SIGN_IN)["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    page = client.get(SIGN_IN).content.decode()
    assert "<style" not in page
    assert "style=" not in page
    assert "<script>" not in page


def test_part_of_a_page_that_was_signed_out_is_reloaded_whole(client, task):
    answer = client.get(f"/tasks/{task.pk}/head/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")


def test_banners_say_what_everybody_must_know(client, db, settings, monkeypatch):
    settings.STUDIO_SYNC, settings.STUDIO_SANDBOX = True, False
    monkeypatch.setitem(context.banners, "demo_model", lambda: True)
    page = client.get(SIGN_IN).content
    assert b"Debugging mode" in page
    assert b"The sandbox is off" in page
    assert b"Demo model, no AI" in page
