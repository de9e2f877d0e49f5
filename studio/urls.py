"""Every address of Studio."""

from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

import sessions.api
import tasks.api
from studio import health
from studio.api import api, mount, unknown

api.add_router("/projects", tasks.api.projects)
api.add_router("/tasks", tasks.api.tasks)
api.add_router("/tasks", sessions.api.tasks)
api.add_router("/sessions", sessions.api.sessions)
api.add_router("/requests", sessions.api.requests)

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/", RedirectView.as_view(pattern_name="api:openapi-view")),
    path("api/", mount()),
    re_path(r"^api/", unknown),
    path("admin/", admin.site.urls),
]
