"""An agent at work: attempts, sessions and what happened in them."""

from django.apps import AppConfig

from studio.live import topics


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "agent_sessions"  # Django's own app holds the label `sessions`
    verbose_name = "Agent sessions"

    def ready(self) -> None:
        """Say what pages can follow, and how a project's repository is looked at."""
        from sessions import live  # models are there only now
        from sessions.workspaces.repository import inspect
        from tasks import repositories

        topics.route(live.route)
        topics.register("session", live.SessionTopic())
        repositories.inspect = inspect
