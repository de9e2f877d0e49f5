"""The addresses of projects, the board and tasks; what needs the agent's side is in sessions/urls.py."""

from django.urls import path

from tasks import (
    archive_pages,
    attachment_pages,
    board_pages,
    bulk_pages,
    environment_pages,
    plan_pages,
    views,
)

app_name = "tasks"

urlpatterns = [
    path("", board_pages.home, name="home"),
    path("columns/<slug:name>/", board_pages.home_column, name="home-column"),
    path("filters/", board_pages.save_filter, name="save-filter"),
    path("filters/<int:pk>/delete/", board_pages.delete_filter, name="delete-filter"),
    path("projects/", views.projects, name="projects"),
    path("projects/new/", views.new_project, name="new-project"),
    path("projects/<str:key>/", board_pages.board, name="board"),
    path("projects/<str:key>/settings/", views.project_settings, name="project-settings"),
    path("projects/<str:key>/environment/", environment_pages.environment, name="environment"),
    path("projects/<str:key>/environment/setup/", environment_pages.set_up, name="set-up"),
    path(
        "projects/<str:key>/environment/<int:pk>/remove/",
        environment_pages.remove_variable,
        name="remove-variable",
    ),
    path("projects/<str:key>/archive/", archive_pages.archive, name="archive"),
    path("projects/<str:key>/restore/", archive_pages.restore, name="restore"),
    path("projects/<str:key>/columns/<slug:name>/", board_pages.column, name="column"),
    path("projects/<str:key>/tasks/new/", views.new_task, name="new-task"),
    path("attachments/<int:pk>/", attachment_pages.attachment, name="attachment"),
    path("attachments/<int:pk>/remove/", attachment_pages.remove_attachment, name="remove-attachment"),
    path("tasks/bulk/", bulk_pages.bulk, name="bulk"),
    path("tasks/<int:pk>/card/", views.card, name="card"),
    path("tasks/<int:pk>/moves/", board_pages.moves, name="moves"),
    path("tasks/<int:pk>/head/", views.head, name="head"),
    path("tasks/<int:pk>/aside/", views.aside, name="aside"),
    path("tasks/<int:pk>/edit/", views.edit, name="edit"),
    path("tasks/<int:pk>/plan/", plan_pages.plan, name="plan"),
    path("tasks/<int:pk>/plan/write/", plan_pages.write_plan, name="write-plan"),
    path("tasks/<int:pk>/plan/<int:version>/comment/", plan_pages.comment_on_plan, name="comment-on-plan"),
    path("plan-comments/<int:pk>/discard/", plan_pages.discard_plan_comment, name="discard-plan-comment"),
    path("tasks/<int:pk>/criteria/", plan_pages.tick, name="tick"),
    path("tasks/<int:pk>/review/", views.review, name="review"),
    path("tasks/<int:pk>/timeline/", views.timeline, name="timeline"),
    path("tasks/<int:pk>/execute/", views.execute, name="execute"),
    path("tasks/<int:pk>/start-when-unblocked/", views.start_when_unblocked, name="start-when-unblocked"),
    path("tasks/<int:pk>/retry/", views.retry, name="retry"),
    path("tasks/<int:pk>/reopen/", views.reopen, name="reopen"),
    path("tasks/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("tasks/<int:pk>/back-to-todo/", views.back_to_todo, name="back-to-todo"),
    path("tasks/<int:pk>/mark-done/", views.mark_done, name="mark-done"),
    path("tasks/<int:pk>/approve-plan/", views.approve_plan, name="approve-plan"),
    path("tasks/<int:pk>/request-plan-changes/", views.request_plan_changes, name="request-plan-changes"),
    path("tasks/<int:pk>/request-changes/", views.request_changes, name="request-changes"),
]
