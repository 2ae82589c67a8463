"""Alembic's way in. It is run by `hub.database.Database.migrate`, inside that transaction."""

from alembic import context

from hub.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
