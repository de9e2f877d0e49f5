"""A headless Chromium whose pages must not complain."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.running import Studio

# Without these Chromium calls home, which a machine without a network answers slowly.
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *QUIET])
        yield running
        running.close()


@pytest.fixture
def open_page(studio: Studio, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages of a person who is signed in; nothing on them may go to another host, fail, or break the policy."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(path: str = "", **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not is_own(studio, request.url) else None,
        )
        page.goto(studio.sign_in_link())
        if path:
            page.goto(f"{studio.url}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def is_own(studio: Studio, url: str) -> bool:
    return url.startswith((studio.url, studio.url.replace("http", "ws"), "data:", "about:"))
