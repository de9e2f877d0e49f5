"""Who may do what. A person has one role in each project; a superuser has every role everywhere."""

from django.db import models


class Role(models.TextChoices):
    """From least to most: each role may do all that the ones before it may."""

    VIEWER = "viewer", "Viewer: reads"
    MEMBER = "member", "Member: files tasks and starts agents, which run code on this machine"
    MAINTAINER = "maintainer", "Maintainer: also merges past a gate and changes the project"
    ADMIN = "admin", "Admin: also decides who is in the project"

    def covers(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)
