"""`manage.py cluster NAME`: a django-q2 cluster whose processes do not outlive each other."""

import os
import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from studio.supervisor import die_with


class Command(BaseCommand):
    help = "Runs the django-q2 cluster NAME; its workers die with it, even when it is killed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        read_again_as(options["name"])
        Lineage().watch()
        call_command("qcluster")


def read_again_as(name: str) -> None:
    """django-q2 reads its cluster's name once, when it is imported: start again where that was another one."""
    if os.environ.get("Q_CLUSTER_NAME") != name:
        os.environ["Q_CLUSTER_NAME"] = name
        os.execv(sys.executable, sys.orig_argv)


class Lineage:
    """Ties the master's child (the sentinel) and grandchildren (the workers) to their parents.

    Without it, a killed master leaves a headless cluster behind that goes on taking work. What the workers fork is left
    alone: the tie is to the parent's thread, and a job may start a process from one that ends.
    """

    DEPTH = 2

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.depth = 0

    def watch(self) -> None:
        os.register_at_fork(after_in_child=self.born)

    def born(self) -> None:
        parent, self.pid = self.pid, os.getpid()
        self.depth += 1
        if self.depth <= self.DEPTH:
            die_with(parent)
