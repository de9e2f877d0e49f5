"""Markdown of people and agents: readable, and unable to do harm."""

import pytest

from studio import markdown


def test_the_usual_marks_are_rendered():
    html = markdown.render(
        "# One\n\n- **two** `three`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```"
    )
    for tag in (
        "<h1>One</h1>",
        "<strong>two</strong>",
        "<code>three</code>",
        "<td>1</td>",
        "<pre><code>x = 1",
    ):
        assert tag in html


def test_links_neither_tell_where_they_come_from_nor_open_this_window_to_others():
    assert 'rel="noopener nofollow"' in markdown.render("[there](https://example.org/)")


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("<img src=x onerror=alert(1)>", "<img"),
        ("![pixel](https://example.org/pixel.png)", "<img"),
        ('<a href="/" hx-get="/tasks/1/" hx-trigger="load">x</a>', "<a"),
        ('<div data-hx-post="/tasks/1/cancel/" hx-trigger="load">x</div>', "<div"),
        ('<div ws-connect="/live/">x</div>', "<div"),
        ("[x](javascript:alert(1))", "href"),
        ("[x](data:text/html;base64,PHNjcmlwdD4=)", "href"),
        ("<form action=/sign-out/ method=post><button>x</button></form>", "<form"),
        ('<p id="head" class="card" style="position:fixed" name="x">x</p>', "<p id"),
        ("<iframe src=//example.org></iframe>", "<iframe"),
        ("<base href=//example.org>", "<base"),
    ],
)
def test_hostile_text_stays_text(text, never):
    assert never not in markdown.render(text)


def test_attributes_of_allowed_tags_are_dropped_too():
    html = markdown.render('[x](https://example.org "a title")')
    assert 'title="a title"' in html
    for name in ("class=", "id=", "style=", "hx-"):
        assert name not in markdown.render("```hx-get\ncode\n```\n\n1. one")
