"""An agent at work: attempts, sessions and what happened in them."""

from django.apps import AppConfig

from studio.live import topics


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "agent_sessions"  # Django's own app holds the label `sessions`
    verbose_name = "Agent sessions"

    def ready(self) -> None:
        """Hand in what the others may not import: what pages can follow, how a repository is looked at, which models there are, what banners say, what is a secret."""
        from sessions import admission, live, offers, places, redaction  # models are there only now
        from sessions.models import Breaker
        from sessions.opencode import provider
        from sessions.workspaces.jj import backend
        from sessions.workspaces.repository import inspect
        from studio import context
        from tasks import offers as offered
        from tasks import redaction as redacted
        from tasks import repositories, standing

        topics.route(live.route)
        topics.register("session", live.SessionTopic())
        repositories.inspect, repositories.backend = inspect, backend
        offered.known = offers.known
        redacted.hand["redact"] = redaction.redact
        standing.obstacles = admission.Obstacles
        context.banners |= {
            "demo_model": provider.is_demo,
            "sandbox_off": lambda: not places.is_sandboxed(),
            "paused_providers": Breaker.objects.down,
        }
