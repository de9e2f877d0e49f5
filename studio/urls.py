"""Every address of Studio."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

import sessions.api
import sessions.clone_api
import sessions.deletion_api
import sessions.follow_up_api
import sessions.guidance_api
import sessions.landing_api
import sessions.pause_api
import sessions.push_api
import sessions.queue_api
import sessions.review_api
import sessions.step_api
import sessions.urls
import sessions.views
import tasks.api
import tasks.archive_api
import tasks.attachment_api
import tasks.environment_api
import tasks.needs_api
import tasks.offers_api
import tasks.plan_api
import tasks.urls
from studio import health, themes, views
from studio.api import api, mount, unknown

api.add_router("/projects", tasks.api.projects)
api.add_router("/projects", tasks.archive_api.projects)
api.add_router("/models", tasks.offers_api.models)
api.add_router("/projects", sessions.deletion_api.projects)
api.add_router("/clones", sessions.clone_api.clones)
api.add_router("/tasks", tasks.api.tasks)
api.add_router("/needs-you", tasks.needs_api.needs_you)
api.add_router("/tasks", tasks.needs_api.tasks)
api.add_router("/tasks", tasks.plan_api.tasks)
api.add_router("/tasks", tasks.attachment_api.tasks)
api.add_router("/attachments", tasks.attachment_api.attachments)
api.add_router("/projects", tasks.environment_api.projects)
api.add_router("/projects", sessions.guidance_api.projects)
api.add_router("/projects", sessions.pause_api.projects)
api.add_router("/queue", sessions.pause_api.queue)
api.add_router("/queue", sessions.queue_api.queue)
api.add_router("/tasks", sessions.queue_api.tasks)
api.add_router("/tasks", sessions.api.tasks)
api.add_router("/tasks", sessions.review_api.tasks)
api.add_router("/tasks", sessions.follow_up_api.tasks)
api.add_router("/tasks", sessions.step_api.tasks)
api.add_router("/steps", sessions.step_api.steps)
api.add_router("/follow-ups", sessions.follow_up_api.follow_ups)
api.add_router("/findings", sessions.review_api.findings)
api.add_router("/comments", sessions.review_api.comments)
api.add_router("/tasks", sessions.landing_api.tasks)
api.add_router("/tasks", sessions.push_api.tasks)
api.add_router("/projects", sessions.push_api.projects)
api.add_router("/attempts", sessions.api.attempts)
api.add_router("/sessions", sessions.api.sessions)
api.add_router("/requests", sessions.api.requests)

people = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("theme/", themes.theme, name="theme"),
]
# A task's page opens with the agent's activity, so that it is the sessions that draw it.
task_pages = [*tasks.urls.urlpatterns, path("tasks/<int:pk>/", sessions.views.activity, name="detail")]

handler400 = views.bad_request
handler500 = views.server_error

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/", RedirectView.as_view(pattern_name="api:openapi-view")),
    path("api/", mount()),
    re_path(r"^api/", unknown),
    path("admin/", admin.site.urls),
    path("", include((people, "studio"))),
    path("", include((task_pages, "tasks"))),
    path("", include("sessions.urls")),
]
