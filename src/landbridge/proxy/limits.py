"""How many descriptors this process may have, and who may have the last ones.

Relayed connections and flows live under a soft limit a little below the hard one. Whatever changes the table goes
through `headroom` and may use the rest, so that no flood of clients can lock the daemon out or keep a port from
being released.
"""

import contextlib
import resource
from collections.abc import Iterator

# One segment taken out of its parking place, and some for control connections.
HEADROOM = 160


class Limits:
    """The process's RLIMIT_NOFILE."""

    def __init__(self, wanted: int) -> None:
        """Allow `wanted` descriptors, or as many as the process may have; `total` says how many that is."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            self.total = wanted
        except (OSError, ValueError):
            # Raising the hard limit takes CAP_SYS_RESOURCE, and never goes beyond fs.nr_open.
            self.total = hard
        self._set(self.total - HEADROOM)

    @contextlib.contextmanager
    def headroom(self) -> Iterator[None]:
        """Use the last descriptors inside the `with`; what stays open keeps working afterwards."""
        self._set(self.total)
        try:
            yield
        finally:
            self._set(self.total - HEADROOM)

    def _set(self, soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self.total))
