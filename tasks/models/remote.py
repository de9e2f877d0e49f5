"""Remote: where the branches of a project are pushed to, which forge stands there, and the token for its API."""

import ipaddress
import re
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction

from studio import vault
from studio.errors import Invalid
from tasks.models.event import Event
from tasks.models.project import Project

DEFAULT = "origin"
NAME = r"\A[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}\Z"
KNOWN = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea", "gitea.com": "gitea"}
TOKEN = re.compile(r"\A[!-~]{8,1000}\Z")  # what a header can carry; a shorter one could not be redacted
API_PATHS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
WORDS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}


class Forge(models.TextChoices):
    """What stands at the other end; it says how the link to compare reads."""

    AUTO = "", "As its address says"
    GITHUB = "github", "GitHub"
    GITLAB = "gitlab", "GitLab"
    GITEA = "gitea", "Gitea or Forgejo"


def validate_api_url(url: str) -> None:
    """An address that a token may be sent to: https, or http on this machine; no login, query or fragment. Raises ValidationError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or re.search(r"[^!-~]|[\\]", url) or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValidationError("An address as https://git.example.org/api/v4, without a login, ? or #.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValidationError("The token goes by https only; http is for this very machine.")


def is_loopback(host: str) -> bool:
    """Whether the host of an address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Remote(models.Model):
    """What a project says of its remote. Without a row: `origin`, and the forge that its address names.

    `token_for` is the one repository of the forge's API that the token was given for: it is sent nowhere else.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="remote")
    name = models.CharField(max_length=100, default=DEFAULT, validators=[RegexValidator(NAME)])
    forge = models.CharField(max_length=10, choices=Forge.choices, blank=True, default=Forge.AUTO)
    api_url = models.CharField(max_length=500, blank=True, validators=[validate_api_url])
    sealed_token = models.TextField(blank=True, help_text="As studio/vault.py seals it.")
    token_for = models.CharField(max_length=1000, blank=True)
    token_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, project: Project) -> "Remote":
        """That of the project; unsaved where nobody has said anything."""
        return cls.objects.filter(project=project).first() or cls(project=project)

    @property
    def has_token(self) -> bool:
        """Whether it has one for the forge's API."""
        return bool(self.sealed_token)

    @property
    def token(self) -> str:
        """For the forge and for redaction, never for a page. Raises `Conflict` where it cannot be unsealed."""
        return vault.unseal(self.sealed_token) if self.sealed_token else ""

    @classmethod
    def put(
        cls, project: Project, *, by: Any, place: str = "", token: str | None = None, **fields: Any
    ) -> "Remote":
        """Set it; what is being pushed goes on to the old one. The other fields were validated.

        `place` is the repository of the forge's API that this makes, empty where none is known. Without a `token` it keeps
        the one that it has, which holds for the same place only; an empty one removes it. Raises `Invalid`.
        """
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            fields |= cls.of(project)._tokens(place, token, by)
            remote, _ = cls.objects.update_or_create(project=project, defaults=fields)
            data = {"fields": ["remote"], "remote": remote.name, "token": remote.has_token}
            Event.objects.create(name="project.updated", project=project, by=by, data=data)
        return remote

    def _tokens(self, place: str, token: str | None, by: Any) -> dict[str, Any]:
        if token == "":
            return {"sealed_token": "", "token_for": "", "token_by": None}
        if token is None:
            if self.has_token and place != self.token_for:
                raise _wrong("Give the token once more, or remove it: it was given for another address.")
            return {}
        if not TOKEN.match(token):
            raise _wrong(
                "A token has 8 characters at least, and no space, line or letter that no header carries."
            )
        if not place:
            raise _wrong(
                "The remote's address names no repository of a forge that Studio knows: say which forge it is."
            )
        return {"sealed_token": vault.seal(token), "token_for": place, "token_by": by}

    def api(self, url: str) -> str:
        """The forge's API, by what was said or else by the remote's address; empty where neither says it."""
        home, forge = urlsplit(web(url)), self.forge or known(url)
        if self.api_url or not forge or not home.netloc:
            return self.api_url.rstrip("/") if forge else ""
        if home.netloc == "github.com":
            return "https://api.github.com"
        return f"{home.scheme}://{home.netloc}{API_PATHS[forge]}"

    def place(self, url: str) -> str:
        """The repository of the forge's API that the remote's address names; empty where it names none."""
        api, forge = self.api(url), self.forge or known(url)
        path = urlsplit(web(url)).path.strip("/")
        beneath = urlsplit(api).path.removesuffix(API_PATHS.get(forge, "")).strip("/")
        if beneath and path.startswith(f"{beneath}/"):  # a forge that lies below a folder of its host
            path = path[len(beneath) + 1 :]
        owner, _, name = path.partition("/")
        if not api or not owner or not name or ".." in path or (forge != Forge.GITLAB and "/" in name):
            return ""
        return (
            f"{api}/projects/{quote(unquote(path), safe='')}"
            if forge == Forge.GITLAB
            else f"{api}/repos/{path}"
        )

    def compare(self, url: str, base: str, branch: str) -> str:
        """The forge's page that compares the branch with the base and offers a pull request; empty where none is known."""
        home = web(url)
        forge = self.forge or known(url)
        if not home or not forge:
            return ""
        if forge == Forge.GITLAB:
            words = {"merge_request[source_branch]": branch, "merge_request[target_branch]": base}
            return f"{home}/-/merge_requests/new?{urlencode(words)}"
        tail = "?expand=1" if forge == Forge.GITHUB else ""
        return f"{home}/compare/{quote(base, safe='/')}...{quote(branch, safe='/')}{tail}"


def known(url: str) -> str:
    """The forge that the host of an address names; empty where it names none."""
    host = urlsplit(web(url)).hostname or ""
    return KNOWN.get(host) or next((forge for word, forge in WORDS.items() if word in host.split(".")), "")


def web(url: str) -> str:
    """The repository's page in a browser, by the address of its remote, without any login; empty for a folder."""
    if "://" not in url:  # git@host:owner/name.git
        place, colon, path = url.partition(":")
        if not colon or "/" in place or path.startswith(":"):
            return ""
        url = f"ssh://{place}/{path}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https", "ssh"} or not host or not parts.path.strip("/"):
        return ""
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    at = f":{port}" if port and parts.scheme != "ssh" else ""
    return f"{scheme}://{host}{at}/{quote(parts.path.strip('/').removesuffix('.git'), safe='/~%')}"


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"token": sentence})
