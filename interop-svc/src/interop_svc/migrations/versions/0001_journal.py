"""The first tables of interop-svc: its journal."""

from alembic import op

from chassis.idempotency import CREATE_TABLE as CREATE_IDEMPOTENCY
from chassis.journal.tables import create_journal
from chassis.migrations import app_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    create_journal(op.execute, app_role())
    op.execute(CREATE_IDEMPOTENCY)
    op.execute(f"GRANT SELECT, INSERT ON idempotency TO {app_role()}")
