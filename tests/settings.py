"""Studio's settings for tests: a data folder of their own, short clocks, the database that STUDIO_TEST_DATABASE_URL names."""

import os
import tempfile

home = os.environ.setdefault("STUDIO_HOME", tempfile.mkdtemp(prefix="studio-test-"))
worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if worker and os.path.basename(home).startswith("studio-test-"):
    # Attempts of two processes have the same numbers, and would share their folders.
    os.environ["STUDIO_HOME"] = tempfile.mkdtemp(prefix=f"{worker}-", dir=home)
if os.environ.get("STUDIO_TEST_DATABASE_URL") and os.environ.get("STUDIO_TEST_ON") == "postgresql":
    os.environ["DATABASE_URL"] = os.environ["STUDIO_TEST_DATABASE_URL"]

from studio.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("sqlite"):  # noqa: F405
    # In a file, as in life: in memory, threads would share one connection and lock each other out at once.
    DATABASES["default"]["TEST"] = {"NAME": str(STUDIO_HOME / "test.sqlite3")}  # noqa: F405
