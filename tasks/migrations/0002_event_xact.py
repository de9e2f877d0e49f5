"""On PostgreSQL each event carries the id of the transaction that wrote it; SQLite has one writer and needs none."""

from django.db import migrations


def number_by_transaction(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "ALTER TABLE tasks_event ALTER COLUMN xact SET DEFAULT (pg_current_xact_id()::text::bigint)"
        )


class Migration(migrations.Migration):
    dependencies = [("tasks", "0001_initial")]
    operations = [migrations.RunPython(number_by_transaction, migrations.RunPython.noop)]
