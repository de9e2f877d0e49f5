"""SQLite, with writers of one process in a queue: `base` is the database backend."""
