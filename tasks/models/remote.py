"""Remote: where the branches of a project are pushed to, and which forge stands there."""

from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from django.core.validators import RegexValidator
from django.db import models, transaction

from tasks.models.event import Event
from tasks.models.project import Project

DEFAULT = "origin"
NAME = r"\A[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}\Z"
KNOWN = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea", "gitea.com": "gitea"}
WORDS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}


class Forge(models.TextChoices):
    """What stands at the other end; it says how the link to compare reads."""

    AUTO = "", "As its address says"
    GITHUB = "github", "GitHub"
    GITLAB = "gitlab", "GitLab"
    GITEA = "gitea", "Gitea or Forgejo"


class Remote(models.Model):
    """What a project says of its remote. Without a row: `origin`, and the forge that its address names."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="remote")
    name = models.CharField(max_length=100, default=DEFAULT, validators=[RegexValidator(NAME)])
    forge = models.CharField(max_length=10, choices=Forge.choices, blank=True, default=Forge.AUTO)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, project: Project) -> "Remote":
        """That of the project; unsaved where nobody has said anything."""
        return cls.objects.filter(project=project).first() or cls(project=project)

    @classmethod
    def put(cls, project: Project, *, by: Any, **fields: Any) -> "Remote":
        """Set it; what is being pushed goes on to the old one. The fields were validated."""
        with transaction.atomic():
            remote, _ = cls.objects.update_or_create(project=project, defaults=fields)
            data = {"fields": ["remote"], "remote": remote.name}
            Event.objects.create(name="project.updated", project=project, by=by, data=data)
        return remote

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
