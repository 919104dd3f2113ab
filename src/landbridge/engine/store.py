"""The engine's memory on disk: one SQLite database (WAL) under the data root. The only truth after a crash.

Each kind of record is a table of (id, unique name, JSON body). Addresses are claims of their own: the
primary key makes a second claim of the same address impossible whatever the code above believes.
Commits are atomic and survive a crash of the daemon (WAL, synchronous=NORMAL: a power cut may lose the
last moments but never the consistency). JSON is read and written nowhere else in `engine`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import msgspec

from landbridge.errors import Conflict

VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, body BLOB NOT NULL,
    PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS record_name ON record (kind, name) WHERE name IS NOT NULL;
CREATE TABLE IF NOT EXISTS address (
    network TEXT NOT NULL, address TEXT NOT NULL, endpoint TEXT NOT NULL,
    PRIMARY KEY (network, address)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS address_endpoint ON address (endpoint);
"""


class Identified(Protocol):
    """Anything with an id can be a record."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)


class Store:
    """Synchronous; a call takes tens of microseconds. Used from the event loop's thread only."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)
        self.db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        self._depth = 0

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen together or not at all; nested uses join the outer one."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self.db.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        else:
            self.db.execute("COMMIT")
        finally:
            self._depth = 0

    def put(self, kind: str, record: Identified, name: str | None) -> None:
        """Insert or replace. Raises: Conflict when another record of the kind has the name."""
        try:
            self.db.execute(
                "INSERT INTO record VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT (kind, id) DO UPDATE SET name = ?3, body = ?4",
                (kind, record.id, name, msgspec.json.encode(record)),
            )
        except sqlite3.IntegrityError:
            raise Conflict(f"{kind} name {name} is already in use") from None

    def remove(self, kind: str, identity: str) -> None:
        self.db.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, identity))

    def load(self, kind: str, of: type[T]) -> list[T]:
        """Every record of a kind, in no particular order."""
        rows = self.db.execute("SELECT body FROM record WHERE kind = ?", (kind,))
        decoder: Any = msgspec.json.Decoder(of)
        return [decoder.decode(body) for (body,) in rows]

    def claim(self, network: str, address: str, endpoint: str) -> None:
        """Raises: Conflict when somebody else holds the address."""
        try:
            self.db.execute("INSERT INTO address VALUES (?, ?, ?)", (network, address, endpoint))
        except sqlite3.IntegrityError:
            raise Conflict("Address already in use") from None

    def release(self, endpoint: str) -> None:
        """Give back every address of an endpoint."""
        self.db.execute("DELETE FROM address WHERE endpoint = ?", (endpoint,))

    def get_meta(self, key: str) -> str:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, key: str, value: str) -> None:
        self.db.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", (key, value))
