"""Django's settings for Studio. Everything that an operator may set comes from the environment; docs/configuration.md lists it."""

import base64
import os
import secrets
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import platformdirs

try:  # SQLite before 3.51.3 can corrupt a WAL database with two writers; this package carries a newer one
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
except (
    ImportError
):  # no wheel for this platform: the system's SQLite, which `check` warns about when it is old
    pass


def env_bool(name: str, default: bool = False) -> bool:
    """The environment variable `name` as a yes or no: `1`, `true`, `yes` and `on` mean yes."""
    return os.environ.get(name, str(int(default))).strip().lower() in {"1", "true", "yes", "on"}


def env_number(name: str, default: float) -> float:
    """The environment variable `name` as a number."""
    try:
        return float(os.environ.get(name, "") or default)
    except ValueError:
        sys.exit(f"{name} is no number: {os.environ[name]}")


def env_path(name: str, default: str | Path) -> Path:
    """The environment variable `name` as an absolute path."""
    return Path(os.environ.get(name, "") or default).expanduser().resolve()


BASE_DIR = Path(__file__).resolve().parent.parent

# --- what an operator sets -------------------------------------------------------------------------------------
STUDIO_HOME = env_path("STUDIO_HOME", platformdirs.user_data_dir("studio", appauthor=False))
STUDIO_HOST = os.environ.get("STUDIO_HOST", "") or "127.0.0.1"
STUDIO_PORT = int(env_number("STUDIO_PORT", 8000))
REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(STUDIO_HOST, STUDIO_HOST)
STUDIO_URL = (os.environ.get("STUDIO_URL", "") or f"http://{REACHED_AT}:{STUDIO_PORT}").rstrip("/")
STUDIO_CONCURRENCY = int(env_number("STUDIO_CONCURRENCY", 4))
STUDIO_RUNNER = os.environ.get("STUDIO_RUNNER", "") or socket.gethostname()
STUDIO_SANDBOX = env_bool("STUDIO_SANDBOX", True)
STUDIO_SYNC = env_bool("STUDIO_SYNC")
STUDIO_WEB_PROCESSES = max(1, int(env_number("STUDIO_WEB_PROCESSES", min(2, len(os.sched_getaffinity(0))))))
STUDIO_DEMO_MODEL_PORT = int(env_number("STUDIO_DEMO_MODEL_PORT", 8041))
STUDIO_OPENCODE_CONFIG = os.environ.get("STUDIO_OPENCODE_CONFIG", "")
STUDIO_REVIEW_CHARACTERS = max(
    1_000, int(env_number("STUDIO_REVIEW_CHARACTERS", 150_000))
)  # of a diff, in one prompt
STUDIO_RETENTION_DAYS = env_number("STUDIO_RETENTION_DAYS", 0)
STUDIO_DISK_FLOOR = env_number("STUDIO_DISK_FLOOR", 1024)  # megabytes; 0 looks at no disk
STUDIO_CLONE_MEGABYTES = env_number("STUDIO_CLONE_MEGABYTES", 10240)  # 0: no limit but the disk's floor
STUDIO_CLONE_SECONDS = env_number("STUDIO_CLONE_SECONDS", 3600)
STUDIO_CLONE_FILES = env_bool("STUDIO_CLONE_FILES")  # for tests: file:// addresses
STUDIO_PUSH_SECONDS = env_number("STUDIO_PUSH_SECONDS", 300)
STUDIO_DEBUG = env_bool("STUDIO_DEBUG")
STUDIO_FAULTS = env_bool("STUDIO_FAULTS")  # for tests: studio/crash.py
STUDIO_TRASH_DAYS = int(env_number("STUDIO_TRASH_DAYS", 14))
STUDIO_CLEANUP_DAYS = int(env_number("STUDIO_CLEANUP_DAYS", 30))
DATABASE_URL = os.environ.get("DATABASE_URL", "")
REDIS_URL = os.environ.get("REDIS_URL", "")

# --- clocks of the ledger, in seconds (tests shrink them) --------------------------------------------------------
STUDIO_BEAT_SECONDS = env_number("STUDIO_BEAT_SECONDS", 10)
STUDIO_LEASE_SECONDS = env_number("STUDIO_LEASE_SECONDS", 45)
STUDIO_REAP_SECONDS = env_number("STUDIO_REAP_SECONDS", 5)
STUDIO_START_SECONDS = env_number("STUDIO_START_SECONDS", 120)
STUDIO_PROGRESS_SECONDS = env_number("STUDIO_PROGRESS_SECONDS", 600)
STUDIO_QUIET_SECONDS = env_number("STUDIO_QUIET_SECONDS", 120)
STUDIO_STALLED_SECONDS = env_number("STUDIO_STALLED_SECONDS", 300)
STUDIO_TOOL_SECONDS = env_number("STUDIO_TOOL_SECONDS", 3600)
STUDIO_PROVIDER_PAUSE_SECONDS = env_number("STUDIO_PROVIDER_PAUSE_SECONDS", 10)
STUDIO_RETRY_SECONDS = env_number("STUDIO_RETRY_SECONDS", 180)
STUDIO_SESSION_SECONDS = env_number("STUDIO_SESSION_SECONDS", 4 * 3600)
STUDIO_PARK_SECONDS = env_number("STUDIO_PARK_SECONDS", 300)
STUDIO_EXPIRY_SECONDS = env_number("STUDIO_EXPIRY_SECONDS", 0)
STUDIO_DATABASE_SECONDS = env_number("STUDIO_DATABASE_SECONDS", 300)


def kept_key(name: str, length: int) -> str:
    """A key of `length` random bytes in the data folder, made at the first start, readable by its owner only."""
    file = STUDIO_HOME / name
    try:
        if not file.exists():
            make_key(file, length)
        return file.read_text()
    except OSError as error:
        sys.exit(
            f"Studio cannot use its data folder {STUDIO_HOME}: {error.strerror}. STUDIO_HOME names another one."
        )


def make_key(file: Path, length: int) -> None:
    """Written aside and linked into place: of two processes that start at once, both read the same whole key."""
    STUDIO_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(base64.urlsafe_b64encode(secrets.token_bytes(length)).decode())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


SECRET_KEY = os.environ.get("STUDIO_SECRET_KEY", "") or kept_key("secret_key", 50)
# Seals the secrets of projects (studio/vault.py). Without it they are lost; nothing else is.
STUDIO_VAULT_KEY = os.environ.get("STUDIO_VAULT_KEY", "") or kept_key("vault_key", 32)
DEBUG = STUDIO_DEBUG
ALLOWED_HOSTS: list[str] = ["127.0.0.1", "localhost", "[::1]", urlsplit(STUDIO_URL).hostname or STUDIO_HOST]
CSRF_TRUSTED_ORIGINS = [STUDIO_URL]
SECURE = STUDIO_URL.startswith("https://")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_q",
    "django_htmx",
    "template_partials",
    "csp",
    "ninja",
    "studio",
    "tasks",
    "sessions",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "studio.live.cursor.LiveCursorMiddleware",
    "studio.middleware.ConflictMiddleware",
]

ROOT_URLCONF = "studio.urls"
ASGI_APPLICATION = "studio.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "studio.context.shell",
            ],
        },
    },
]

# --- storage -----------------------------------------------------------------------------------------------------
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",  # a deferred read that turns into a write fails at once, whatever the timeout
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
    "PRAGMA journal_size_limit=27103364; PRAGMA cache_size=2000;",
}
if DATABASE_URL:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "studio.sqlite",
            "NAME": str(STUDIO_HOME / "studio.sqlite3"),
            "CONN_MAX_AGE": 60,
            "OPTIONS": SQLITE_OPTIONS,
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- background work: a doorbell; what is to be done stands in sessions' ledger ------------------------------------
LONG_JOBS = "runs"  # executions, hours long
SHORT_JOBS = "short"  # everything else
Q_CLUSTER = {
    "name": LONG_JOBS,
    "orm": "default",
    "workers": STUDIO_CONCURRENCY,
    "queue_limit": 1,
    "bulk": 1,
    "poll": 0.2,
    # The ledger has its own deadlines, and django-q2's never ends a run: its lease must outlast any of them.
    "timeout": 86400 * 7,
    "retry": 86400 * 8,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "sync": STUDIO_SYNC,
    "label": "Jobs",
    "ALT_CLUSTERS": {
        # A clone is the longest of them, and ends itself before this.
        SHORT_JOBS: {
            "workers": 1,
            "timeout": int(STUDIO_CLONE_SECONDS) + 600,
            "retry": int(STUDIO_CLONE_SECONDS) + 700,
        }
    },
}

# Each web process feeds its own sockets from the database (studio/live).
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# --- people ------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "studio:sign-in"
LOGIN_REDIRECT_URL = "tasks:home"
SESSION_COOKIE_NAME = (
    f"studio_{STUDIO_PORT}"  # cookies know no ports: two Studios on one host must not sign each other out
)
CSRF_COOKIE_NAME = f"studio_csrf_{STUDIO_PORT}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Sub-domains and a browser's preload list are not Studio's to decide, and the proxy that ends TLS redirects.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_HSTS_SECONDS = 31536000 if SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # bytes of a body without its files
FILE_UPLOAD_HANDLERS = [
    "studio.uploads.Quota",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- static files, texts, logs -------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = STUDIO_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.channels.server": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}
