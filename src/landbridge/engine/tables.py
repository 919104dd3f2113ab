"""Records in memory, written through to the store: by id, by name, by beginning of the id."""

from collections.abc import Callable, Iterator
from typing import Generic

from landbridge.engine.store import Store, T
from landbridge.errors import Invalid, NotFound


class Table(Generic[T]):
    """All records of one kind. Reads never touch the disk; a write is on disk when it returns."""

    def __init__(self, store: Store, kind: str, of: type[T], name: Callable[[T], str | None]) -> None:
        self._store = store
        self._kind = kind
        self._name = name
        self._by_id: dict[str, T] = {}
        self._by_name: dict[str, str] = {}
        for record in store.load(kind, of):
            self._remember(record)

    def __repr__(self) -> str:
        return f"<{self._kind}: {len(self._by_id)}>"

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[T]:
        """A snapshot: records may come and go while the caller looks at it."""
        return iter(tuple(self._by_id.values()))

    def __contains__(self, identity: str) -> bool:
        return identity in self._by_id

    def get(self, identity: str) -> T | None:
        return self._by_id.get(identity)

    def __getitem__(self, identity: str) -> T:
        """Raises: NotFound when the record has been removed meanwhile."""
        try:
            return self._by_id[identity]
        except KeyError:
            raise NotFound(f"No such {self._kind}: {identity}") from None

    def by_name(self, name: str) -> T | None:
        identity = self._by_name.get(name)
        return self._by_id[identity] if identity is not None else None

    def all(self) -> dict[str, T]:
        """The live mapping by id; read only."""
        return self._by_id

    def put(self, record: T) -> None:
        """Insert or replace. Raises: Conflict when the name belongs to another record."""
        self._store.put(self._kind, record, self._name(record))
        old = self._by_id.get(record.id)
        if old is not None:
            self._forget_name(old)
        self._remember(record)

    def remove(self, identity: str) -> None:
        record = self._by_id.pop(identity, None)
        if record is not None:
            self._forget_name(record)
            self._store.remove(self._kind, identity)

    def find(self, text: str) -> T | None:
        """Docker's order: full id, exact name, unambiguous beginning of an id.

        Raises: Invalid when the beginning fits several.
        """
        exact = self._by_id.get(text) or self.by_name(text)
        if exact is not None:
            return exact
        if not text:
            return None
        found = [record for identity, record in self._by_id.items() if identity.startswith(text)]
        if len(found) > 1:
            raise Invalid(f"multiple IDs found with provided prefix: {text}")
        return found[0] if found else None

    def _remember(self, record: T) -> None:
        self._by_id[record.id] = record
        name = self._name(record)
        if name is not None:
            self._by_name[name] = record.id

    def _forget_name(self, record: T) -> None:
        name = self._name(record)
        if name is not None:
            self._by_name.pop(name, None)
