"""Our nft table as one object: apply a transaction, see whether it is there, take it away."""

from landbridge.system.nft import Nft


class Firewall:
    """Satisfies `engine.effects.Firewall` for one table of family inet."""

    def __init__(self, table: str) -> None:
        self._nft = Nft()
        self._table = table

    def apply(self, text: str) -> None:
        """One transaction. Raises: Internal with nft's words; then nothing of it happened."""
        self._nft.apply(text)

    def remove(self) -> None:
        """Take the table away, the user's chain with it; twice is fine."""
        self._nft.remove_table("inet", self._table)

    def exists(self) -> bool:
        return self._nft.table_exists("inet", self._table)

    def listing(self, kind: str, name: str) -> str:
        """A chain or set of the table as nft prints it; empty when it is not there. Raises: Internal."""
        return self._nft.listing(kind, "inet", self._table, name)

    def close(self) -> None:
        self._nft.close()
