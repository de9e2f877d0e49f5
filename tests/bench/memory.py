"""What all processes of a Studio hold of the memory together, sampled while it works."""

import threading
from contextlib import suppress
from pathlib import Path

from tests.running import Studio

SAMPLE_SECONDS = 0.5


class Peak:
    """The highest sum seen, in MiB. Shared pages count once (PSS); where that cannot be read, the process's RSS is taken."""

    def __init__(self, studio: Studio) -> None:
        self.total = self.opencode = 0.0
        self.processes = self.samples = 0
        self._studio = studio
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        found = self._studio.processes()
        held = {pid: mebibytes(pid) for pid in found}
        self.samples += 1
        if sum(held.values()) > self.total:
            self.total = sum(held.values())
            self.opencode = sum(held[pid] for pid, line in found.items() if "opencode serve" in line)
            self.processes = len(found)


def mebibytes(pid: int) -> float:
    for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(name):
                    return int(line.split()[1]) / 1024
    return 0.0  # it has ended
