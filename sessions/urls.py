"""The addresses of what an agent does; a task's page begins with them."""

from django.urls import path

from sessions import attempts, live, views

app_name = "sessions"

urlpatterns = [
    path("tasks/<int:pk>/later/<int:after>/", views.later, name="later"),
    path("tasks/<int:pk>/requests/", views.requests, name="requests"),
    path("tasks/<int:pk>/changes/", views.changes, name="changes"),
    path("tasks/<int:pk>/gate/", views.gate, name="gate"),
    path("tasks/<int:pk>/checks/", views.checks, name="checks"),
    path("tasks/<int:pk>/merge/", views.merge, name="merge"),
    path("tasks/<int:pk>/attempts/", attempts.attempts, name="attempts"),
    path("attempts/<int:pk>/remove-workspace/", attempts.remove_workspace, name="remove-workspace"),
    path("attempts/<int:pk>/restore-workspace/", attempts.restore_workspace, name="restore-workspace"),
    path("providers/", views.providers, name="providers"),
    path("providers/<int:pk>/try-again/", views.try_again, name="try-again"),
    path("requests/<int:pk>/answer/", views.answer, name="answer"),
    path("sessions/<int:pk>/head/", views.head, name="head"),
    path("sessions/<int:pk>/earlier/", views.earlier, name="earlier"),
    path("sessions/<int:pk>/catch-up/", live.catch_up, name="catch-up"),
    path("sessions/<int:pk>/entries/<int:entry_pk>/", views.entry, name="entry"),
]
