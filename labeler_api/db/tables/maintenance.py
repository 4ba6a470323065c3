"""The switch of maintenance mode. No row means off."""

from sqlalchemy import Boolean, CheckConstraint, Column, String, Table, Text, text

from labeler_api.db.tables.metadata import metadata, stamped

maintenance = Table(
    "maintenance",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("mode", String(10), nullable=False, server_default="off"),
    Column("reason", Text),
    Column("changed_by", String(200), doc="Who switched, as the command was told."),
    stamped("since"),
    CheckConstraint("only_row", name="only_row"),
    CheckConstraint("mode IN ('off', 'on')", name="mode"),
)
