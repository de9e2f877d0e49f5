"""The demo project: a tiny Python package with one failing test, for the demo model (or a real one) to mend."""

PACKAGE_FILE = "durations/text.py"
TEST_FILE = "tests/test_text.py"
BUG = 'return " ".join(f"{value}{unit}" for value, unit in parts if value)'
FIX = 'return " ".join(f"{value}{unit}" for value, unit in parts if value) or "0s"'
EDGE_TEST_ANCHOR = """    def test_nothing_is_zero_seconds(self) -> None:
        self.assertEqual(as_text(0), "0s")
"""
EDGE_TEST = """
    def test_whole_hours_have_no_other_parts(self) -> None:
        self.assertEqual(as_text(7200), "2h")
"""
TEST_COMMAND = "python3 -m unittest -q"

README = """# durations

Writes durations the way people read them.

    >>> from durations.text import as_text
    >>> as_text(3725)
    '1h 2m 5s'

Run the tests: `python3 -m unittest -q`. One of them fails: a duration of zero seconds should read `0s`.
"""

AGENTS = """# Working on durations

- Python 3.11, standard library only.
- Tests are `unittest` cases in `tests/`; run them with `python3 -m unittest -q`.
- A test's name is a sentence about what people see.
"""

PACKAGE = f'''"""Durations as people read them."""


def as_text(seconds: int) -> str:
    """`3725` becomes `1h 2m 5s`: parts that are zero are left out, and nothing at all is `0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    {BUG}
'''

TESTS = f"""import unittest

from durations.text import as_text


class AsTextTests(unittest.TestCase):
    def test_every_part_is_named(self) -> None:
        self.assertEqual(as_text(3725), "1h 2m 5s")

    def test_seconds_stand_alone(self) -> None:
        self.assertEqual(as_text(5), "5s")

{EDGE_TEST_ANCHOR}

if __name__ == "__main__":
    unittest.main()
"""


def files() -> dict[str, str]:
    """The project's files: path relative to its root → text. The tests run with TEST_COMMAND, and one fails."""
    return {
        ".gitignore": "__pycache__/\n",
        "AGENTS.md": AGENTS,
        "README.md": README,
        "durations/__init__.py": "",
        PACKAGE_FILE: PACKAGE,
        "tests/__init__.py": "",
        TEST_FILE: TESTS,
    }
