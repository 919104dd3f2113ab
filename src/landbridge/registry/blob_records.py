"""Which blob of which repository a layer was seen as: what a push needs so as not to send what is there already.

One table beside the images' own. A layer may be known as several blobs (compressed by different hands) and in several
repositories; the newest come first. Rows of layers that are gone are dropped at start.
"""

import sqlite3
from dataclasses import dataclass

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blob (
    diff_id TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
    size INTEGER NOT NULL, media_type TEXT NOT NULL, PRIMARY KEY (diff_id, registry, repository, digest)
);
DELETE FROM blob WHERE diff_id NOT IN (SELECT diff_id FROM layer);
"""
_MOST = 50  # of one layer; Docker keeps as many


@dataclass(frozen=True, slots=True)
class KnownBlob:
    """A layer as it is in a repository."""

    registry: str
    repository: str
    digest: str
    size: int
    media_type: str


class BlobRecords:
    """`db` is the engine's, in autocommit mode, with the images' tables in it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)

    def __repr__(self) -> str:
        return f"<BlobRecords {self._db.execute('SELECT count(*) FROM blob').fetchone()[0]}>"

    def of(self, diff_id: str) -> tuple[KnownBlob, ...]:
        """Where a layer was seen, newest first."""
        rows = self._db.execute(
            "SELECT registry, repository, digest, size, media_type FROM blob WHERE diff_id = ? ORDER BY rowid DESC",
            (diff_id,),
        )
        return tuple(KnownBlob(*row) for row in rows)

    def add(self, diff_id: str, blob: KnownBlob) -> None:
        """Remember a blob; seen again it becomes the newest."""
        self._db.execute(
            "INSERT OR REPLACE INTO blob VALUES (?, ?, ?, ?, ?, ?)",
            (diff_id, blob.registry, blob.repository, blob.digest, blob.size, blob.media_type),
        )
        self._db.execute(
            "DELETE FROM blob WHERE diff_id = ?1 AND rowid NOT IN"
            " (SELECT rowid FROM blob WHERE diff_id = ?1 ORDER BY rowid DESC LIMIT ?2)",
            (diff_id, _MOST),
        )

    def drop(self, diff_id: str, blob: KnownBlob) -> None:
        """It is not there after all. Twice is fine."""
        self._db.execute(
            "DELETE FROM blob WHERE diff_id = ? AND registry = ? AND repository = ? AND digest = ?",
            (diff_id, blob.registry, blob.repository, blob.digest),
        )
