"""Our nft table as one object: apply a transaction, see whether it is there, take it away."""

from landbridge.system.nft import Nft

_DOCKER_USER = "DOCKER-USER"
_FORWARD_HOOK = "{ type filter hook forward priority 0; policy accept; }"  # what iptables itself would make


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

    def heed_docker_user(self) -> None:
        """Have forwarded packets pass the chains ``filter DOCKER-USER``, where there are any (ip and ip6).

        Docker's users keep rules of their own in a chain of this name and expect the engine to lead there. Where
        something does, or where there is no such chain, nothing is touched. Raises: Internal.
        """
        for family in ("ip", "ip6"):
            if not self._nft.listing("chain", family, "filter", _DOCKER_USER):
                continue
            forward = self._nft.listing("chain", family, "filter", "FORWARD")
            if f"jump {_DOCKER_USER}" in forward:
                continue
            made = "" if forward else f"add chain {family} filter FORWARD {_FORWARD_HOOK}\n"
            self._nft.apply(f"{made}insert rule {family} filter FORWARD counter jump {_DOCKER_USER}\n")

    def close(self) -> None:
        self._nft.close()
