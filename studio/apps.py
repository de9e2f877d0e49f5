"""The app that holds what both others share."""

from django.apps import AppConfig


class StudioConfig(AppConfig):
    name = "studio"
    verbose_name = "Studio"

    def ready(self) -> None:
        """Have Django's checks know of ours."""
        from studio import crash  # noqa: F401
