"""What should be done: projects, tasks and their lifecycle."""

from django.apps import AppConfig

from studio.live import topics


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        """Say what pages can follow."""
        from tasks import live  # models are there only now

        topics.route(live.route)
        topics.register("task", live.TaskTopic())
        topics.register("project", live.ProjectTopic())
        topics.register("me", live.MeTopic())
