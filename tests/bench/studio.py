"""A Studio to measure: as it ships, but for the demo model's pauses."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import FOLDER
from tests.running import CLOCKS, Studio

DATABASE_ERROR = re.compile(
    r"OperationalError|InterfaceError|database (?:table )?is locked|deadlock detected"
)


@contextmanager
def running(concurrency: int) -> Iterator[Studio]:
    """A Studio that runs so many executions at a time, with the clocks it ships with and no set-up of a person's own."""
    person = FOLDER / "person"
    person.mkdir()
    shipped = dict.fromkeys(CLOCKS, "") | {"STUDIO_DEMO_PACE": "0"}
    studio = Studio(
        FOLDER / "home", **shipped, HOME=str(person), STUDIO_CONCURRENCY=str(concurrency)
    )  # fmt: skip
    try:
        studio.start()
        yield studio
    finally:
        studio.stop()


def database_errors(studio: Studio) -> list[str]:
    """The lines of all logs that tell of one."""
    return [
        f"{log.stem}: {line}"
        for log in sorted((studio.home / "logs").glob("*.log*"))
        for line in log.read_text(errors="replace").splitlines()
        if DATABASE_ERROR.search(line)
    ]


def exceptions(studio: Studio) -> list[str]:
    """What ended in an error of a web process's own, each kind once."""
    logs = [log.read_text(errors="replace") for log in (studio.home / "logs").glob("web*.log")]
    return sorted(set(re.findall(r"^[\w.]+(?:Error|Exception|Timeout)\b.*", "\n".join(logs), re.MULTILINE)))


def states(studio: Studio, tasks: list[int]) -> str:
    """How many of the tasks are in which state."""
    return counted(studio.status(task) for task in tasks)


def counted(words: Iterator[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(Counter(words).items())) or "none"
