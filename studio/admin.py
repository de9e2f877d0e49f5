"""Django admin: what all of Studio's pages there share, and the API tokens."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from studio.models import ApiToken

admin.site.site_header = "Studio administration"
admin.site.site_title = "Studio administration"
admin.site.index_title = "Everything that Studio keeps"

# The queue is a doorbell: what is to be done stands in the ledger, and a job deleted or sent again here would mislead.
for queued in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(queued):
        admin.site.unregister(queued)


class Kept(admin.ModelAdmin):
    """Rows that only the code makes, and that stay: nothing is added or deleted by hand."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Shown(Kept):
    """Rows that nobody changes by hand either, since that would make them lie about what happened."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(Shown):
    """Made by `manage.py createtoken`, as a token can be read only once; deleting one revokes it."""

    list_display = ["__str__", "user", "scope", "created_at", "expires_at", "used_at"]
    list_filter = ["scope"]
    search_fields = ["name", "user__username"]
    list_select_related = ["user"]
    date_hierarchy = "created_at"
    exclude = ["digest"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
