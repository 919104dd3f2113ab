"""`network create`, `ls`, `rm`, `connect`, `disconnect`."""

from __future__ import annotations

from landbridge.cli.client import filters_text, quote
from landbridge.cli.flags import Flag
from landbridge.cli.humanize import natural_key
from landbridge.cli.outcome import CommandError, DaemonError, ExitWith
from landbridge.cli.ps import FORMAT
from landbridge.cli.tables import Column, print_ids, print_rows, settings_format
from landbridge.cli.values import check_label, check_link, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def network_path(name: str, action: str = "") -> str:
    """`/networks/NAME/ACTION`, the name escaped."""
    return f"/networks/{quote(name)}{action}"


LIST_FLAGS = (
    Flag("filter", "f", "filter", "Show only what matches (driver=bridge, name=x, dangling=true, …)"),
    FORMAT,
    Flag("no-trunc", "", "bool", "Do not shorten ids"),
    Flag("quiet", "q", "bool", "Show only ids"),
)


def created_text(row: dict[str, Any]) -> str:
    """`2024-05-01 10:20:30.123456789 +0000 UTC`."""
    text = str(row.get("Created", ""))
    date, _, clock = text.partition("T")
    return f"{date} {clock[:-1]} +0000 UTC" if clock.endswith("Z") else text


def columns(*, truncate: bool) -> dict[str, Column]:
    """The fields of a network row."""

    def flag(name: str) -> Any:
        return lambda row: "true" if row.get(name) else "false"

    return {
        "ID": Column("NETWORK ID", lambda row: row["Id"][:12] if truncate else row["Id"]),
        "Name": Column("NAME", lambda row: row["Name"]),
        "Driver": Column("DRIVER", lambda row: row.get("Driver", "")),
        "Scope": Column("SCOPE", lambda row: row.get("Scope", "")),
        "IPv4": Column("IPV4", flag("EnableIPv4")),
        "IPv6": Column("IPV6", flag("EnableIPv6")),
        "Internal": Column("INTERNAL", flag("Internal")),
        "Labels": Column("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in (row.get("Labels") or {}).items())),
        "CreatedAt": Column("CREATED AT", created_text),
    }


def list_networks(session: Session, flags: Parsed) -> None:
    rows = session.client.get("/networks", {"filters": filters_text(flags["filter"])})
    rows.sort(key=lambda row: natural_key(row["Name"]))
    truncate = not flags["no-trunc"]
    if flags["quiet"] and not flags["format"]:
        print_ids(session, (row["Id"][:12] if truncate else row["Id"] for row in rows))
        return
    form = "" if flags["quiet"] else settings_format(session, flags["format"], "networksFormat")
    print_rows(session, rows, columns(truncate=truncate), ["ID", "Name", "Driver", "Scope"], form or flags["format"])


CREATE_FLAGS = (
    Flag("attachable", "", "bool", "Let containers be attached by hand"),
    Flag("aux-address", "", "map", "Addresses kept out of use: name=address"),
    Flag("config-from", "", "string", "Copy the configuration of this network"),
    Flag("config-only", "", "bool", "Create a configuration for others to copy, not a network"),
    Flag("driver", "d", "string", "Driver of the network", "bridge"),
    Flag("gateway", "", "strings", "Gateway address of a subnet"),
    Flag("ingress", "", "bool", "Create a routing mesh (not offered)"),
    Flag("internal", "", "bool", "No way out of this network"),
    Flag("ip-range", "", "strings", "Take container addresses from this part of a subnet"),
    Flag("ipam-driver", "", "string", "Driver of address management", "default"),
    Flag("ipam-opt", "", "map", "Options of address management"),
    Flag("ipv4", "", "bool", "Give containers IPv4 addresses", default=True),
    Flag("ipv6", "", "bool", "Give containers IPv6 addresses"),
    Flag("label", "", "list", "Set a label on the network"),
    Flag("opt", "o", "map", "Set an option of the driver"),
    Flag("scope", "", "string", "Scope of the network"),
    Flag("subnet", "", "strings", "Subnet in CIDR notation"),
)


def create_network(session: Session, flags: Parsed) -> None:
    """Create a network and print its id."""
    from landbridge.cli.ipamconfig import ipam_config  # ipaddress takes 10 ms; only creating needs it

    given = flags.given
    body: dict[str, Any] = {
        "Name": flags.args[0],
        "Driver": flags["driver"],
        "Scope": flags["scope"],
        "IPAM": {
            "Driver": flags["ipam-driver"],
            "Options": pairs(flags["ipam-opt"]),
            "Config": ipam_config(flags["subnet"], flags["ip-range"], flags["gateway"], pairs(flags["aux-address"])),
        },
        "Internal": flags["internal"],
        "Attachable": flags["attachable"],
        "Ingress": flags["ingress"],
        "ConfigOnly": flags["config-only"],
        "ConfigFrom": {"Network": flags["config-from"]} if flags["config-from"] else None,
        "Options": pairs(flags["opt"]),
        "Labels": pairs(flags["label"]),
    }
    if "ipv4" in given:
        body["EnableIPv4"] = flags["ipv4"]
    if "ipv6" in given:
        body["EnableIPv6"] = flags["ipv6"]
    answer = session.client.post("/networks/create", body=body)
    if answer.get("Warning"):
        session.err(f"WARNING: {answer['Warning']}")
    session.out(answer["Id"])


def remove_networks(session: Session, flags: Parsed) -> None:
    """Remove each network; --force forgives those that do not exist."""
    failed = False
    for name in flags.args:
        try:
            session.client.delete(network_path(name))
        except DaemonError as error:
            if flags["force"] and error.code == 404:
                continue
            session.err(error.message)
            failed = True
        else:
            session.out(name)
    if failed:
        raise ExitWith(1, "exit status 1")


CONNECT_FLAGS = (
    Flag("alias", "", "strings", "Another name of the container on this network"),
    Flag("driver-opt", "", "strings", "Option of the driver for this connection"),
    Flag("gw-priority", "", "int", "The network of the highest priority gives the default route"),
    Flag("ip", "", "string", "IPv4 address"),
    Flag("ip6", "", "string", "IPv6 address"),
    Flag("link", "", "list", "Another name for another container: name:alias"),
    Flag("link-local-ip", "", "strings", "Link-local address"),
)


def connect(session: Session, flags: Parsed) -> None:
    """Connect a container to a network."""
    options: dict[str, str] = {}
    for option in flags["driver-opt"]:
        name, equals, value = option.partition("=")
        if not equals:
            raise CommandError("invalid key/value pair format in driver options")
        options[name.strip()] = value.strip()
    ipam: dict[str, Any] = {}
    if flags["ip"]:
        ipam["IPv4Address"] = flags["ip"]
    if flags["ip6"]:
        ipam["IPv6Address"] = flags["ip6"]
    if flags["link-local-ip"]:
        ipam["LinkLocalIPs"] = flags["link-local-ip"]
    settings = endpoint(
        ipam=ipam, links=flags["link"] or None, aliases=flags["alias"], options=options, priority=flags["gw-priority"]
    )
    network, container = flags.args
    session.client.post(network_path(network, "/connect"), body={"Container": container, "EndpointConfig": settings})


def endpoint(
    *,
    ipam: dict[str, Any] | None,
    links: list[str] | None,
    aliases: list[str] | None,
    options: dict[str, str] | None,
    priority: int = 0,
) -> dict[str, Any]:
    """An EndpointSettings object as Docker's client writes it for `network connect`."""
    return {
        "IPAMConfig": ipam, "Links": links, "Aliases": aliases, "MacAddress": "", "DriverOpts": options,
        "GwPriority": priority, "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
        "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": None,
    }  # fmt: skip


def disconnect(session: Session, flags: Parsed) -> None:
    network, container = flags.args
    body = {"Container": container, "Force": flags["force"]}
    session.client.post(network_path(network, "/disconnect"), body=body)


COMMANDS = {
    "network ls": (LIST_FLAGS, list_networks),
    "network create": (CREATE_FLAGS, create_network, {"label": check_label}),
    "network rm": ((Flag("force", "f", "bool", "Do not complain about networks that do not exist"),), remove_networks),
    "network connect": (CONNECT_FLAGS, connect, {"link": check_link}),
    "network disconnect": ((Flag("force", "f", "bool", "Disconnect even a container that is gone"),), disconnect),
}
