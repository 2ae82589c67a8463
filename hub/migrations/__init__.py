"""The history of the tables, for alembic. A released step is never changed."""
