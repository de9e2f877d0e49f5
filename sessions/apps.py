"""An agent at work: attempts, sessions and what happened in them."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "agent_sessions"  # Django's own app holds the label `sessions`
    verbose_name = "Agent sessions"
