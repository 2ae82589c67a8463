"""A store of the first release opens in this one: same tables as a new store, nothing of its content lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from bus.errors import WrongInputError
from hub import schema
from hub.database import Database, migrations
from hub.store import Store
from tests.hub.sender import Sender, roster_of

FIRST = "0001"
# One journal as the first release stored it.
CONTENT = """
INSERT INTO site (id, code, name, province, former_names, known) VALUES ('s0001', 'c', 'Xã', '', '[]', true);
INSERT INTO device (id, site_id, part, key, known) VALUES ('s0001-agent', 's0001', 'agent', 'ab', true);
INSERT INTO device_live (device_id, seen_ms, receipted_ms) VALUES ('s0001-agent', 5, 9000000000000);
INSERT INTO boot (id, device_id, boot) VALUES (1, 's0001-agent', 'b');
INSERT INTO journal (id, device_id, epoch, class, ordinal, first_held, head, chain_breaks, first_seen_ms, last_seen_ms)
 VALUES (1, 's0001-agent', '{epoch}', 'record', 1048576, 1, 2, 0, 5, 5);
INSERT INTO stored_range (journal_id, first, last) VALUES (1, 1, 2);
INSERT INTO quarantine (key, device_id, journal_id, seq, verdict, reason, detail, digest, raw, received_ms, times)
 VALUES ('a', 's0001-agent', 1, 1, 'conflict', 'conflict', '', {digest}, {digest}, 5, 1),
 ('b', 's0001-agent', 1, 1, 'conflict', 'conflict', '', {digest}, {digest}, 5, 1),
 ('c', 's0001-agent', 1, 2, 'conflict', 'conflict', '', {digest}, {digest}, 5, 1);
INSERT INTO entry (journal_id, seq, kind, unknown_kind, boot_id, mono_ns, raw_wall_ms, quality, wall_ms, anchored,
 received_ms, digest, data) VALUES (1, 1, 'event.noted', false, 1, 1, 1, 'trusted', 1, false, 5, {digest}, '{{}}');
"""


def execute(connection: Connection, script: str) -> None:
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(text(statement))


def test_from_the_first_release(database: Database, sender: Sender) -> None:
    with database.write() as connection:
        command.upgrade(migrations(connection), FIRST)
        digest = "x'00'" if database.is_sqlite else r"'\x00'::bytea"
        execute(connection, CONTENT.format(epoch=sender.record.epoch, digest=digest))
        if not database.is_sqlite:  # rows with numbers of their own do not move the sequence
            connection.execute(text("SELECT setval('journal_id_seq', 1), setval('boot_id_seq', 1)"))
    store = Store(database)
    store.open(roster_of(sender))
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    receipt = store.ingest([sender.admitted(sender.batch(1, 0))]).receipts[0]
    assert receipt.stored == [(1, 2)]
    assert [(one.seq, one.verdict) for one in receipt.refused] == [(1, "conflict"), (2, "conflict")]
    assert receipt.at_ms >= 9_000_000_000_000


def test_two_hubs_may_start_at_once_and_again(store_url: str) -> None:
    hubs = [Database(store_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            list(threads.map(Database.migrate, hubs))
    with hubs[0].read() as connection:
        assert set(inspect(connection).get_table_names()) == {*schema.metadata.tables, "alembic_version"}
    for hub in hubs:
        hub.close()


def test_a_commit_of_sqlite_survives_a_power_cut(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar_one() == 1
    database.close()


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "", "oracle:///x"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(WrongInputError):
        Database(url)
