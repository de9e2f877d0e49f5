"""`manage.py createtoken USER`: makes an API token and prints it, and nothing else."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from studio.models import ApiToken


class Command(BaseCommand):
    help = "Makes an API token for a person and prints it: the only time that it can be read."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="the person's user name")
        parser.add_argument("--name", default="", help="what it is for, as the list of tokens shows it")
        parser.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.WRITE.value)
        parser.add_argument("--days", type=int, default=365, help="until it expires; 0: never (default 365)")

    def handle(self, *args: Any, **options: Any) -> None:
        people = get_user_model()
        user = people.objects.filter(**{people.USERNAME_FIELD: options["user"]}).first()
        if user is None:
            raise CommandError(f"There is no user “{options['user']}”.")
        if not user.is_active:
            raise CommandError(f"The user “{options['user']}” is not active.")
        if not 0 <= options["days"] <= 36500:
            raise CommandError("--days is a number from 0 (never expires) to 36500.")
        name = options["name"][:100]
        self.stdout.write(ApiToken.issue(user, name=name, scope=options["scope"], days=options["days"]))
