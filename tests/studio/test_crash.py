"""The crash points: named once, listed, and dead in a Studio that people use."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core import checks

from studio import crash

ROOT = Path(__file__).resolve().parents[2]


def used() -> Counter[str]:
    """The names in the code, with how often each is used."""
    files = [file for app in ("studio", "tasks", "sessions") for file in (ROOT / app).rglob("*.py")]
    return Counter(
        name for file in files for name in re.findall(r'crash\.point\("([^"]+)"\)', file.read_text())
    )


def test_every_point_that_is_listed_is_in_the_code_and_every_one_in_the_code_is_listed() -> None:
    assert set(used()) == set(crash.POINTS)
    assert not [name for name, times in used().items() if times > 1]
    assert len(crash.POINTS) >= 24


@pytest.fixture
def armed() -> Any:
    """A file that would kill whoever comes by."""
    crash.ARMED.parent.mkdir(parents=True, exist_ok=True)
    crash.ARMED.write_text("claimed 1 kill")
    yield
    crash.ARMED.unlink(missing_ok=True)
    crash.FIRED.unlink(missing_ok=True)


def test_without_the_setting_an_armed_point_is_passed_by(armed: None) -> None:
    crash.point("claimed")
    assert crash.ARMED.exists()


def pass_by() -> "subprocess.CompletedProcess[str]":
    """A process of its own that comes by three points; it prints `None` after each."""
    code = (
        "import django; django.setup(); from studio import crash; "
        "[print(crash.point(name), flush=True) for name in ('exported', 'claimed', 'claimed')]"
    )
    home = str(crash.ARMED.parent.parent)
    environment = {"STUDIO_FAULTS": "1", "STUDIO_HOME": home, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_with_the_setting_the_nth_passer_by_dies_and_the_next_goes_on(armed: None) -> None:
    crash.ARMED.write_text("claimed 2 kill")
    first, second = pass_by(), pass_by()
    assert (first.returncode, first.stdout.count("None")) == (-9, 2), first.stderr
    assert int(crash.FIRED.read_text()) > 0
    assert (second.returncode, second.stdout.count("None")) == (0, 3), second.stderr


def test_a_second_line_is_armed_when_the_first_has_fired(armed: None) -> None:
    crash.ARMED.write_text("exported 1 kill\nclaimed 1 kill\n")
    ends = [pass_by() for _ in range(3)]
    assert [end.stdout.count("None") for end in ends] == [0, 1, 3]
    assert len(crash.FIRED.read_text().splitlines()) == 2


def test_a_check_for_deployment_refuses_a_studio_that_can_be_crashed(settings: Any) -> None:
    assert not [
        each for each in checks.run_checks(include_deployment_checks=True) if each.id == "studio.E001"
    ]
    settings.STUDIO_FAULTS = True
    assert [each for each in checks.run_checks(include_deployment_checks=True) if each.id == "studio.E001"]
