"""The timeline puts every event into words."""

import re
from pathlib import Path

from tasks.timeline import QUIET, SENTENCES
from tests.running import ROOT

NOTED = re.compile(r'(?:note\(\s*|name=|name = )"([a-z]+\.[a-z_]+)"')


def noted() -> set[str]:
    """The names of all events that the code appends."""
    sources = [file for app in ("tasks", "sessions", "studio") for file in Path(ROOT / app).rglob("*.py")]
    return {name for file in sources for name in NOTED.findall(file.read_text())}


def test_every_event_that_the_code_appends_is_in_words_or_left_out_on_purpose() -> None:
    assert {"task.created", "session.ended", "check.ended"} <= noted()
    assert not noted() - SENTENCES.keys() - set(QUIET)


def test_a_sentence_needs_no_data_that_an_old_event_may_lack() -> None:
    for name, sentence in SENTENCES.items():
        assert sentence({}), name
