"""`python -m tests.bench`: execute's answers and the price of a task; with LOAD=10 in the environment, ten executions at once."""

import os
import signal
import sys

from tests.bench import answers, crowd, machine, price
from tests.bench.report import report, section
from tests.bench.studio import running


def main() -> int:
    load = int(os.environ.get("LOAD") or 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that Studio is stopped on the way out
    section("Machine", machine.described())
    verdicts = one_crowd(load) if load else usual()
    section("Machine at the end", machine.load())
    return report(verdicts)


def usual() -> dict[str, bool]:
    with running(answers.EXECUTIONS) as studio:
        return price.measure(studio) | answers.measure(studio)


def one_crowd(size: int) -> dict[str, bool]:
    with running(size) as studio:
        return crowd.measure(studio, size)


sys.exit(main())
