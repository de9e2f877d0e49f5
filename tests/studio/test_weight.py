"""What a page brings along is light."""

import gzip
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders

MOST_SCRIPT, MOST_STYLE = 100_000, 40_000  # bytes, compressed


def weight(files: list[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes(), 6)) for file in files)


def test_all_scripts_and_all_styles_are_light(client: Any, alice: Any) -> None:
    client.force_login(alice)
    page = client.get("/projects/").content.decode()
    named = re.findall(r'<script[^>]* src="/?static/([^"]+)"', page)
    assert any("htmx" in name for name in named), "the libraries count too"
    found = [Path(str(finders.find(name))) for name in named]
    ours = [file for file in (settings.BASE_DIR / "static").rglob("*.js") if file not in found]
    styles = list((settings.BASE_DIR / "static").rglob("*.css"))
    assert 10_000 < weight(found + ours) <= MOST_SCRIPT
    assert 5_000 < weight(styles) <= MOST_STYLE
