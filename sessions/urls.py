"""The addresses of what an agent does; a task's page begins with them."""

from django.urls import path

from sessions import attempts, changes, guidance_pages, landing_pages, live, pause_pages, reviews, views

app_name = "sessions"

urlpatterns = [
    path("projects/<str:key>/agents-file/", guidance_pages.agents_file, name="agents-file"),
    path("projects/<str:key>/agents-file/write/", guidance_pages.write_agents_file, name="write-agents-file"),
    path("tasks/<int:pk>/later/<int:after>/", views.later, name="later"),
    path("tasks/<int:pk>/requests/", views.requests, name="requests"),
    path("tasks/<int:pk>/changes/", changes.changes, name="changes"),
    path("tasks/<int:pk>/gate/", changes.gate, name="gate"),
    path("tasks/<int:pk>/changes/since/", changes.since, name="since"),
    path("tasks/<int:pk>/viewed/", changes.viewed, name="viewed"),
    path("tasks/<int:pk>/look/", changes.look, name="look"),
    path("tasks/<int:pk>/comments/new/", changes.new_comment, name="new-comment"),
    path("tasks/<int:pk>/send-comments/", reviews.send_comments, name="send-comments"),
    path("tasks/<int:pk>/fix-findings/", reviews.fix_findings, name="fix-findings"),
    path("tasks/<int:pk>/approve/", reviews.approve, name="approve"),
    path("tasks/<int:pk>/override/", reviews.override, name="override"),
    path("findings/<int:pk>/waive/", reviews.waive, name="waive"),
    path("findings/<int:pk>/reopen/", reviews.reopen_finding, name="reopen-finding"),
    path("comments/<int:pk>/discard/", reviews.discard, name="discard"),
    path("comments/<int:pk>/resolve/", reviews.resolve, name="resolve"),
    path("comments/<int:pk>/reopen/", reviews.reopen_comment, name="reopen-comment"),
    path("tasks/<int:pk>/checks/", views.checks, name="checks"),
    path("tasks/<int:pk>/landing/", landing_pages.how, name="landing"),
    path("tasks/<int:pk>/conflicts/", landing_pages.conflicts, name="conflicts"),
    path("tasks/<int:pk>/merge/", landing_pages.merge, name="merge"),
    path("tasks/<int:pk>/resolve-conflicts/", landing_pages.resolve_conflicts, name="resolve-conflicts"),
    path("tasks/<int:pk>/undo-merge/", views.undo_merge, name="undo-merge"),
    path("tasks/<int:pk>/attempts/", attempts.attempts, name="attempts"),
    path("attempts/<int:pk>/remove-workspace/", attempts.remove_workspace, name="remove-workspace"),
    path("attempts/<int:pk>/restore-workspace/", attempts.restore_workspace, name="restore-workspace"),
    path("projects/<str:key>/pause/", pause_pages.pause, name="pause"),
    path("projects/<str:key>/resume/", pause_pages.resume, name="resume"),
    path("queue/pause/", pause_pages.pause, name="pause-all"),
    path("queue/resume/", pause_pages.resume, name="resume-all"),
    path("pauses/", pause_pages.pauses, name="pauses"),
    path("providers/", views.providers, name="providers"),
    path("providers/<int:pk>/try-again/", views.try_again, name="try-again"),
    path("requests/<int:pk>/answer/", views.answer, name="answer"),
    path("sessions/<int:pk>/head/", views.head, name="head"),
    path("sessions/<int:pk>/earlier/", views.earlier, name="earlier"),
    path("sessions/<int:pk>/catch-up/", live.catch_up, name="catch-up"),
    path("sessions/<int:pk>/entries/<int:entry_pk>/", views.entry, name="entry"),
]
