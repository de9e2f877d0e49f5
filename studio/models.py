"""Sign-in links, API tokens and the replies kept for repeated requests."""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import DatabaseError, models
from django.utils import timezone

from studio import database

log = logging.getLogger(__name__)

TOKEN_PREFIX = "studio_"


def digest(secret: str) -> str:
    """What is stored of a secret: its SHA-256. The secrets here are random and long, so that no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class SignInLink(models.Model):
    """A link that signs its person in once, as `make run` prints it."""

    LIFETIME = timedelta(hours=24)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_in_links")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user}"

    @classmethod
    def issue(cls, user: Any) -> str:
        """A new link's token; links not used yet stay valid for a day."""
        token = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=digest(token))
        return token

    @classmethod
    def redeem(cls, token: str) -> Any:
        """The person the token signs in, once; None where it is unknown, used or too old."""
        now = timezone.now()
        fresh = cls.objects.filter(digest=digest(token), used_at=None, created_at__gt=now - cls.LIFETIME)
        if not fresh.update(used_at=now):
            return None
        user = cls.objects.select_related("user").get(digest=digest(token)).user
        return user if user.is_active else None


class ApiToken(models.Model):
    """A token for scripts, stored as a digest and shown once."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.WRITE)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name or f"token of {self.user}"

    @classmethod
    def issue(cls, user: Any, *, name: str = "", scope: str = Scope.WRITE, days: int | None = 365) -> str:
        """A new token's text. `days` until it expires, None for never."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        expires = timezone.now() + timedelta(days=days) if days else None
        cls.objects.create(user=user, name=name, digest=digest(token), scope=scope, expires_at=expires)
        return token

    @classmethod
    def find(cls, token: str) -> "ApiToken | None":
        """The valid token with that text, noting (by the minute) that it was used."""
        now = timezone.now()
        found = cls.objects.select_related("user").filter(digest=digest(token), user__is_active=True).first()
        if found is None or (found.expires_at and found.expires_at < now):
            return None
        if found.used_at is None or now - found.used_at > timedelta(minutes=1):
            found._note_use(now)
        return found

    def _note_use(self, now: datetime) -> None:
        """Best effort: no request fails or waits where it cannot be written."""
        try:
            with database.without_waiting():
                ApiToken.objects.filter(pk=self.pk).update(used_at=now)
        except DatabaseError as error:
            log.info("the use of token %s is not noted: %s", self.pk, str(error).strip())


class KeptReply(models.Model):
    """The reply to a request that carried an `Idempotency-Key`, so that a repeat hears the same."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    path = models.CharField(max_length=300)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key", "path"], name="one_reply_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.path}"
