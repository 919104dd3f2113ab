"""Which capabilities a container gets: Docker's default list and its rules for ``--cap-add``/``--cap-drop``.

Names are in the kernel's form (``CAP_NET_RAW``). What this kernel and this daemon can give at all is the
caller's knowledge, passed in; nothing is read here.
"""

from landbridge.errors import Invalid

# capabilities(7), in the order of their numbers.
ALL = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)

# What a container has when nobody says otherwise, in Docker's order.
DEFAULT = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
        "SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def from_mask(mask: int) -> tuple[str, ...]:
    """The names of the bits set in `mask`, as in ``CapBnd`` of /proc/self/status; unknown bits are left out."""
    return tuple(name for bit, name in enumerate(ALL) if mask >> bit & 1)


def normalize(names: tuple[str, ...] | None) -> tuple[str, ...]:
    """User text (``net_admin``, ``CAP_NET_ADMIN``, ``all``) → kernel names and ``ALL``.

    Raises: Invalid for a name the kernel does not have.
    """
    found = []
    for name in names or ():
        upper = name.upper()
        if upper == "ALL":
            found.append("ALL")
            continue
        full = upper if upper.startswith("CAP_") else "CAP_" + upper
        if full not in ALL:
            raise Invalid(f'invalid capability: "{name}"')
        found.append(full)
    return tuple(found)


def select(
    add: tuple[str, ...] | None, drop: tuple[str, ...] | None, *, available: tuple[str, ...], privileged: bool
) -> tuple[str, ...]:
    """The capabilities of a container's first process, from user text.

    ``ALL`` in `add` starts from `available` and `drop` takes away; ``ALL`` in `drop` leaves only `add`;
    a privileged container gets `available` whatever was added or dropped (Docker's rules).

    Raises: Invalid for an unknown name.
    """
    added, dropped = normalize(add), normalize(drop)
    if privileged:
        return available
    if "ALL" in added:
        return tuple(name for name in available if name not in dropped)
    if "ALL" in dropped:
        return added
    kept = tuple(name for name in DEFAULT if name not in dropped)
    return kept + tuple(name for name in dict.fromkeys(added) if name not in kept and name not in dropped)
