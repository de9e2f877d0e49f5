"""A filter of a board or a list that a person has kept under a name."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from studio.errors import Invalid

if TYPE_CHECKING:
    from tasks.models.project import Project

MOST_SAVED = 50  # by one person on one board


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def shown_to(self, user: Any, project: "Project | None") -> "SavedFilterQuerySet":
        """On that board (None: on the one of all projects), the person's own and those that others share."""
        return self.filter(Q(by_id=user.pk) | Q(shared=True), project=project).select_related("by")


class SavedFilter(models.Model):
    """`query` is what stands in the address behind the question mark."""

    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters")
    project = models.ForeignKey(
        "tasks.Project", on_delete=models.CASCADE, null=True, related_name="saved_filters"
    )
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000)
    shared = models.BooleanField(default=False, help_text="Everybody in the project sees it.")

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["by", "project", "name"], name="one_filter_per_name"),
            models.UniqueConstraint(
                fields=["by", "name"], condition=Q(project=None), name="one_filter_of_all_per_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def keep(
        cls, project: "Project | None", name: str, query: str, *, shared: bool, by: Any
    ) -> "SavedFilter":
        """Keep it, in the place of the person's own one of that name. Raises Invalid where there are too many."""
        mine = cls.objects.filter(by=by, project=project)
        if mine.exclude(name=name).count() >= MOST_SAVED:
            raise Invalid("Delete a saved filter first.", fields={"name": f"At most {MOST_SAVED} are kept."})
        fields = {"query": query, "shared": shared and project is not None}
        return cls.objects.update_or_create(by=by, project=project, name=name, defaults=fields)[0]
