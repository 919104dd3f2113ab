"""What an operation does, as values. Drivers return tuples of these; `engine.apply` carries them out in order.

Every step knows its inverse, so undoing needs no second description of the work: the undo stack is the
inverses of what was done, last first. A step never reads anything back to decide.
"""

from dataclasses import dataclass, replace

from landbridge.model.hold import Hold
from landbridge.model.link import (
    BridgeSpec,
    ExtensionSpec,
    Flow,
    MovedSpec,
    ParentSpec,
    RouteSpec,
    SandboxSpec,
    StackedSpec,
    VethSpec,
)
from landbridge.model.names import Change


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One element of a named set or map of our nft table; `value` is empty for sets."""

    container: str
    key: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A bridge exists (`present`) or does not."""

    spec: BridgeSpec
    present: bool = True

    def inverse(self) -> "Bridge":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A network has one more bridge, wired to its own, or has it no more."""

    spec: ExtensionSpec
    present: bool = True

    def inverse(self) -> "Extended | Forget":
        """Whoever needed it first does not take it away: others may be on it. It goes with its network."""
        return Forget() if self.present else replace(self, present=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A sandbox's network namespace exists or does not."""

    spec: SandboxSpec
    present: bool = True

    def inverse(self) -> "Namespace":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """Tools of the host find the sandbox pinned at `path` under `name`, or do not."""

    path: str
    name: str
    present: bool = True

    def inverse(self) -> "Exposed":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Veth:
    """An endpoint's interface pair exists or does not."""

    spec: VethSpec
    present: bool = True

    def inverse(self) -> "Veth":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """An interface that others are stacked on exists or does not; one that was there before us stays."""

    spec: ParentSpec
    present: bool = True

    def inverse(self) -> "Parent":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """A macvlan or ipvlan interface exists in its sandbox or does not."""

    spec: StackedSpec
    present: bool = True

    def inverse(self) -> "Stacked":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Somebody else's link is in a sandbox, or back in the host."""

    spec: MovedSpec
    present: bool = True

    def inverse(self) -> "Moved":
        return replace(self, present=not self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The default routes inside a sandbox change from `before` to `after`."""

    after: RouteSpec
    before: RouteSpec

    def inverse(self) -> "Routes":
        return Routes(after=self.before, before=self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Elements join and leave the sets and maps of our table, in one transaction."""

    add: tuple[Element, ...] = ()
    remove: tuple[Element, ...] = ()

    def inverse(self) -> "Rules":
        return Rules(add=self.remove, remove=self.add)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Host sockets are taken and let go by the proxy."""

    hold: tuple[Hold, ...] = ()
    release: tuple[Hold, ...] = ()

    def inverse(self) -> "Ports":
        return Ports(hold=self.release, release=self.hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The resolver learns `changes`; `undo` is what takes them back."""

    changes: tuple[Change, ...]
    undo: tuple[Change, ...] = ()

    def inverse(self) -> "Names":
        return Names(changes=self.undo, undo=self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Connection-tracking entries are dropped; there is nothing to undo."""

    flows: tuple[Flow, ...] = ()
    addresses: tuple[str, ...] = ()

    def inverse(self) -> "Forget":
        return Forget()


Links = Bridge | Extended | Parent | Veth | Stacked | Moved
Step = Links | Namespace | Exposed | Routes | Rules | Ports | Names | Forget
