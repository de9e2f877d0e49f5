"""`make bench`: what Studio's own work costs, measured on a whole Studio with the real OpenCode and the demo model.

Everything lies in one folder for the run. docs/bench.md says how to read what it prints.
"""

import os
import tempfile
from pathlib import Path

import django

_folder = tempfile.TemporaryDirectory(prefix="studio-bench-", ignore_cleanup_errors=True)
FOLDER = Path(_folder.name)

os.environ.update(DJANGO_SETTINGS_MODULE="tests.settings", STUDIO_HOME=str(FOLDER / "bench"))
django.setup()  # before anything of Studio's is imported
