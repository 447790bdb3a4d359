"""Run by Alembic: upgrade over the connection, and within the transaction, that `upgrade` gave."""

from alembic import context

from mtor_kernel.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most things in place: later migrations copy a table and rename it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
