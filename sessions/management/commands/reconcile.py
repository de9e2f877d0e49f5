"""`manage.py reconcile`: sets right what an earlier Studio left behind, and says what it did."""

from typing import Any

from django.core.management.base import BaseCommand

from sessions.reconcile import reconcile


class Command(BaseCommand):
    help = "Sets right what an earlier Studio left behind. `up` calls it before it starts anything."

    def handle(self, *args: Any, **options: Any) -> None:
        for sentence in reconcile():
            self.stdout.write(sentence)
