"""`--network`, `--ip`, `--network-alias` and their like to NetworkMode and EndpointsConfig. Pure."""

from __future__ import annotations

from landbridge.cli.outcome import CommandError
from landbridge.cli.quantities import csv_fields, integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed


class Attachment:
    """One `--network`: the target and what it shall look like there."""

    __slots__ = ("aliases", "ip", "ip6", "link_local", "links", "mac", "options", "priority", "target")

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.aliases: list[str] = []
        self.link_local: list[str] = []
        self.links: list[str] = []
        self.options: dict[str, str] = {}
        self.ip = self.ip6 = self.mac = ""
        self.priority = 0

    def is_plain(self) -> bool:
        """Nothing but the target was given."""
        return not any(
            (self.aliases, self.link_local, self.links, self.options, self.ip, self.ip6, self.mac, self.priority)
        )

    def endpoint(self) -> dict[str, Any]:
        """The EndpointSettings object, with the fields Docker's client sends."""
        ipam = None
        if self.ip or self.ip6 or self.link_local:
            ipam = {"IPv4Address": self.ip, "IPv6Address": self.ip6, "LinkLocalIPs": self.link_local}
            ipam = {key: value for key, value in ipam.items() if value}
        return {
            "IPAMConfig": ipam, "Links": self.links or None, "Aliases": self.aliases or None, "MacAddress": self.mac,
            "DriverOpts": self.options or None, "GwPriority": self.priority, "NetworkID": "", "EndpointID": "",
            "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0, "DNSNames": None,
        }  # fmt: skip


def _is_long_form(text: str) -> bool:
    """A word character on either side of an equals sign."""
    return any(
        (text[at - 1].isalnum() or text[at - 1] == "_") and (text[at + 1].isalnum() or text[at + 1] == "_")
        for at in range(1, len(text) - 1)
        if text[at] == "="
    )


def check_network(text: str) -> Attachment:
    """One `--network` value: a name, or `name=n,alias=a,ip=…`. Raises: ValueError."""
    if not _is_long_form(text):
        return Attachment(text)
    attachment = Attachment()
    for field in csv_fields(text.strip()):
        key, equals, value = field.strip().partition("=")
        if not equals or not key:
            raise ValueError(f"invalid field {field}")
        _set_field(attachment, key.strip().lower(), value.strip())
    if not attachment.target:
        raise ValueError("network name/id is not specified")
    return attachment


def _set_field(attachment: Attachment, key: str, value: str) -> None:
    simple = {"name": "target", "ip": "ip", "ip6": "ip6", "mac-address": "mac"}
    if key in simple:
        setattr(attachment, simple[key], value)
    elif key == "alias":
        attachment.aliases.append(value)
    elif key == "link-local-ip":
        attachment.link_local.append(value)
    elif key == "driver-opt":
        name, equals, setting = value.partition("=")
        if not equals:
            raise ValueError("invalid key value pair format in driver options")
        attachment.options[name.lower()] = setting
    elif key == "gw-priority":
        try:
            attachment.priority = integer(value)
        except ValueError as error:
            raise ValueError(f"invalid gw-priority ({value}): {str(error).rpartition(': ')[2]}") from None
    else:
        raise ValueError(f"invalid field key {key}")


def is_user_defined(mode: str) -> bool:
    """A network someone made, not one of the built-in modes."""
    return mode not in ("default", "bridge", "host", "none") and not mode.startswith("container:")


def _merge(attachment: Attachment, flags: Parsed) -> None:
    """Give the first network what the single flags say. Raises: CommandError for contradictions."""
    conflicts = (
        ("network-alias", attachment.aliases, "--network-alias and per-network alias"),
        ("link", attachment.links, "--link and per-network links"),
        ("ip", attachment.ip, "--ip and per-network IPv4 address"),
        ("ip6", attachment.ip6, "--ip6 and per-network IPv6 address"),
        ("mac-address", attachment.mac, "--mac-address and per-network MAC address"),
        ("link-local-ip", attachment.link_local, "--link-local-ip and per-network link-local IP addresses"),
    )
    for name, present, words in conflicts:
        if present and flags[name]:
            raise CommandError(f"conflicting options: cannot specify both {words}")
    user_defined = is_user_defined(attachment.target)
    if flags["network-alias"] and not user_defined:
        raise CommandError("network-scoped aliases are only supported for user-defined networks")
    attachment.aliases = attachment.aliases or list(flags["network-alias"])
    if user_defined:
        attachment.links = attachment.links or list(flags["link"])
    attachment.ip = attachment.ip or flags["ip"]
    attachment.ip6 = attachment.ip6 or flags["ip6"]
    attachment.mac = attachment.mac or flags["mac-address"]
    attachment.link_local = attachment.link_local or list(flags["link-local-ip"])


def networking(flags: Parsed) -> tuple[str, dict[str, Any]]:
    """NetworkMode and EndpointsConfig. Raises: CommandError."""
    attachments: list[Attachment] = flags["network"]
    if not attachments:
        only = Attachment("default")
        _merge(only, flags)
        return "default", {"default": only.endpoint()}
    endpoints: dict[str, Any] = {}
    kinds = {is_user_defined(attachment.target) for attachment in attachments}
    for index, attachment in enumerate(attachments):
        if index == 0:
            _merge(attachment, flags)
        if not attachment.target:
            raise CommandError("no name set for network")
        if attachment.target in endpoints:
            raise CommandError(f'network "{attachment.target}" is specified multiple times')
        if attachment.mac and not mac_ok(attachment.mac):
            raise CommandError(f"{attachment.mac} is not a valid mac address")
        endpoints[attachment.target] = attachment.endpoint()
    if len(kinds) == 2:
        raise CommandError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    if len(attachments) == 1 and attachments[0].is_plain():
        endpoints = {}
    return attachments[0].target, endpoints


def mac_ok(text: str) -> bool:
    """Six pairs of hexadecimal digits joined by colons or dashes."""
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(len(part) == 2 and not part.lower().strip("0123456789abcdef") for part in parts)
