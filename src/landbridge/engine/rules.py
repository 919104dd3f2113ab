"""Our nft table and what is to be in it: changed by operations, put back when somebody takes it away.

The elements that should exist are kept here, changed in the same breath as the kernel's, so that the whole table can
be written again at any moment without asking what an operation in flight has or has not done yet.

What belongs to the user (chain `user`, set `allowed`) is never touched while the table stands. When all of it was
swept away (``nft flush ruleset``, a firewall's reload) the last known text comes back with the rest: a reload must not
open a port that somebody had closed. Who removes single rules, or empties the chain, keeps them removed. The text
lives in the run directory: like every rule of the kernel's, it does not outlast a reboot.
"""

import logging
from collections.abc import Iterable
from threading import Lock

from landbridge.engine.effects import Files, Firewall
from landbridge.errors import Internal
from landbridge.model.settings import Settings
from landbridge.network import nfttext
from landbridge.network.ruleset import LOCAL_PORTS, USER_CHAIN, USER_SET, Chains, chains
from landbridge.network.steps import Element

log = logging.getLogger(__name__)


def rule_chains(settings: Settings) -> Chains:
    """The chains of an engine with these settings."""
    return chains(
        settings.publish_policy, mark=settings.accept_mark, unfiltered=settings.unfiltered,
        guarded=settings.loopback_guard,
    )  # fmt: skip


class RuleTable:
    """Blocking; every method may be called from any worker thread. `kept` is the path of the user's text."""

    def __init__(self, firewall: Firewall, files: Files, *, table: str, chains: Chains, kept: str) -> None:
        self._firewall = firewall
        self._files = files
        self._table = table
        self._chains = chains
        self._kept = kept
        self._elements: set[Element] = set()
        self._local_ports = LOCAL_PORTS
        self._lock = Lock()

    def load(self, elements: Iterable[Element], local_ports: tuple[int, int] = LOCAL_PORTS) -> None:
        """Make the table what it should be with exactly these elements; `local_ports` as in `nfttext.full`.

        Raises: Internal.
        """
        with self._lock:
            self._elements = set(elements)
            self._local_ports = local_ports
            self._fill()
            self._firewall.heed_docker_user()

    def change(self, add: Iterable[Element], remove: Iterable[Element]) -> None:
        """Elements join and leave, in one transaction. Raises: Internal; then nothing of it happened."""
        text = nfttext.change(self._table, add, remove)
        if not text:
            return
        with self._lock:
            try:
                self._firewall.apply(text)
            except Internal:
                if self._firewall.exists():
                    raise
                log.warning("nft table %s was taken away; it is back", self._table)
                self._fill()
                self._firewall.apply(text)
            self._elements.difference_update(remove)
            self._elements.update(add)

    def heed(self) -> None:
        """Lead to the chain Docker's users have, where they have it. Raises: Internal."""
        with self._lock:
            self._firewall.heed_docker_user()

    def restore(self) -> None:
        """Write the whole table again. Raises: Internal."""
        with self._lock:
            self._fill()
            self._firewall.heed_docker_user()

    def theirs(self) -> tuple[str, str]:
        """What the user has in the table: chain `user` and set `allowed` as nft prints them. Raises: Internal."""
        with self._lock:
            return self._firewall.listing("chain", USER_CHAIN), self._firewall.listing("set", USER_SET)

    def remember(self) -> None:
        """Note what the user has in the table now. Raises: Internal."""
        with self._lock:
            self._note()

    def remove(self) -> None:
        """Take the table away; what the user had in it comes back with the next `load`. Twice is fine."""
        with self._lock:
            self._note()
            self._firewall.remove()

    def _fill(self) -> None:
        text = nfttext.full(self._table, self._elements, self._chains, self._local_ports)
        if not self._firewall.exists():
            self._fill_anew(text)
            return
        try:
            self._firewall.apply(text)
        except Internal as error:
            # A former version declared something of the same name differently, or it was tampered with.
            log.warning("nft table %s is made anew: %s", self._table, error)
            self._note()
            self._fill_anew(nfttext.removal(self._table) + text)
            return
        self._note()

    def _fill_anew(self, text: str) -> None:
        user = self._files.read(self._kept)
        if user:
            try:
                self._firewall.apply(text + user)
                return
            except Internal as error:
                log.error("the rules of chain %s cannot be put back, see %s: %s", USER_CHAIN, self._kept, error)
        self._firewall.apply(text)

    def _note(self) -> None:
        found = [self._firewall.listing("chain", USER_CHAIN), self._firewall.listing("set", USER_SET)]
        if not all(found):
            return  # swept away in this very moment: what was known is to come back
        text = "".join(one for one in found if nfttext.has_content(one))
        if text != self._files.read(self._kept):
            self._files.write(self._kept, text)
