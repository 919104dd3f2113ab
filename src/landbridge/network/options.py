"""Docker's network options: their names, what values they take, what they mean. Pure; every reader asks here.

Names and error texts are Docker's (reference section 1.2), so that scripts and compose files work unchanged; ours
begin with ``landbridge.`` and say what Docker has no word for. A network keeps its options as text.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from landbridge.errors import Invalid
from landbridge.model.network import NAMES, Network, NetworkRequest

NAME = "com.docker.network.bridge.name"
MTU = "com.docker.network.driver.mtu"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
ICC = "com.docker.network.bridge.enable_icc"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
HOST_IPV4 = "com.docker.network.host_ipv4"
HOST_IPV6 = "com.docker.network.host_ipv6"
INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
GATEWAY_MODE_4 = "com.docker.network.bridge.gateway_mode_ipv4"
GATEWAY_MODE_6 = "com.docker.network.bridge.gateway_mode_ipv6"
TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"
ENABLE_IPV4 = "com.docker.network.enable_ipv4"
ENABLE_IPV6 = "com.docker.network.enable_ipv6"
ANNOUNCEMENTS = "com.docker.network.advertise_addr_nmsgs"
ANNOUNCED_EVERY = "com.docker.network.advertise_addr_ms"
IFACE_PREFIX = "com.docker.network.container_iface_prefix"
IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"
# An internal network publishes ports, to this host alone (Docker: never).
PUBLISH_INTERNAL = "landbridge.publish_internal"

# What reaches a container, and what leaves it, at most: of a network for each of its containers, or of one attachment.
RATE_IN = "landbridge.rate_in"
RATE_OUT = "landbridge.rate_out"

_RATE = re.compile(r"(\d{1,9})(k|m|g|)bit", re.IGNORECASE)
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}
_FLAGS = (MASQUERADE, ICC, INHIBIT_IPV4, DEFAULT_BRIDGE, PUBLISH_INTERNAL, NAMES, ENABLE_IPV4, ENABLE_IPV6)
MODES = ("nat", "nat-unprotected", "routed", "isolated")
LEAST_MTU6 = 1280  # RFC 8200, section 5
MOST_NAME = 15  # IFNAMSIZ without the final zero


def flag(options: Mapping[str, str], key: str, *, default: bool) -> bool:
    """An option that is a Go boolean (strconv.ParseBool); `default` when absent."""
    return options[key] in _TRUE if key in options else default


def icc(network: Network) -> bool:
    """True when containers of this network may talk to each other."""
    return flag(network.options, ICC, default=True)


def masquerades(network: Network) -> bool:
    """True when outgoing connections are hidden behind the host, as far as the gateway mode lets them."""
    return flag(network.options, MASQUERADE, default=True)


def mode(network: Network, *, six: bool) -> str:
    """The gateway mode of a family: one of `MODES`."""
    return network.options.get(GATEWAY_MODE_6 if six else GATEWAY_MODE_4) or "nat"


def trusted(network: Network) -> tuple[str, ...]:
    """Host interfaces from which published ports may be reached at the containers' own addresses."""
    return tuple(name for name in network.options.get(TRUSTED, "").split(":") if name)


def without_gateway(options: Mapping[str, str], *, internal: bool, six: bool) -> bool:
    """Whether a subnet keeps no address back for a gateway: nobody would have it.

    So on an isolated network, and on an internal one whose bridge gets no IPv4 address; a /31 is whole then.
    """
    inhibited = not six and internal and flag(options, INHIBIT_IPV4, default=False)
    return inhibited or options.get(GATEWAY_MODE_6 if six else GATEWAY_MODE_4) == "isolated"


def with_families(request: NetworkRequest) -> NetworkRequest:
    """Which families a network has, by its options where the request itself does not say (they may be the daemon's)."""
    four, six = request.enable_ipv4, request.enable_ipv6
    if four is None and ENABLE_IPV4 in request.options:
        four = flag(request.options, ENABLE_IPV4, default=True)
    if six is None and ENABLE_IPV6 in request.options:
        six = flag(request.options, ENABLE_IPV6, default=False)
    return replace(request, enable_ipv4=four, enable_ipv6=six)


def is_layer3(driver: str, given: Mapping[str, str]) -> bool:
    """True for an ipvlan that routes: the parent answers for all, there are no neighbours and no gateway."""
    return driver == "ipvlan" and given.get("ipvlan_mode") in ("l3", "l3s")


def by_device(network: Network) -> bool:
    """True when the default route leads straight out of the interface."""
    return not network.internal and is_layer3(network.driver, network.options)


def rate(text: str) -> int:
    """``10mbit``, ``500kbit``: bytes per second; 0 for no limit. Decimal, as tc(8) reads it.

    Raises: Invalid for anything below 8 kbit, where no packet would ever pass in time, and for other words.
    """
    match = _RATE.fullmatch(text)
    found = int(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()] // 8 if match else 0
    if text and found < 1000:
        raise Invalid(f"invalid rate: {text!r}: give at least 8kbit, as 10mbit")
    return found


def rates(network: Network, options: Mapping[str, str]) -> tuple[int, int]:
    """Bytes per second in and out of one attachment with these options, 0 for no limit."""
    inward, outward = (options.get(key) or network.options.get(key, "") for key in (RATE_IN, RATE_OUT))
    return rate(inward), rate(outward)


def sysctls(options: Mapping[str, str], ifname: str) -> tuple[tuple[str, str], ...]:
    """The settings of one interface (``net.ipv4.conf.IFNAME.log_martians=1,…``) as keys under /proc/sys and values.

    The interface's name may have dots in it, the five parts before and after it have none.
    """
    found = []
    for text in filter(None, options.get(SYSCTLS, "").split(",")):
        key, _, value = text.partition("=")
        parts = key.split(".", 4)
        parts[3] = ifname
        found.append(("/".join(parts), value))
    return tuple(found)


def switches_ipv6_off(options: Mapping[str, str]) -> bool:
    """Whether an attachment's own settings leave its interface no IPv6."""
    return ("net/ipv6/conf/x/disable_ipv6", "1") in sysctls(options, "x")


# What is refused.


def check(request: NetworkRequest) -> None:
    """Raises: Invalid on an option of a bridge network with a value nobody can use."""
    given = request.options
    for key in _FLAGS:
        if key in given and given[key] not in _TRUE | _FALSE:
            raise _wrong(key, given[key], f'strconv.ParseBool: parsing "{given[key]}": invalid syntax')
    check_mtu(request)
    for key, least, most in ((ANNOUNCEMENTS, 0, 3), (ANNOUNCED_EVERY, 100, 2000)):
        text = given.get(key, str(least))
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise _wrong(key, text, f"must be in the range {least} to {most}")
    for key in (RATE_IN, RATE_OUT):
        rate(given.get(key, ""))
    for key in (NAME, IFACE_PREFIX):
        if key in given:
            _check_interface(key, given[key])
    for key, kind in ((HOST_BINDING, IPv4Address), (HOST_IPV4, IPv4Address), (HOST_IPV6, IPv6Address)):
        if given.get(key):
            _check_address(key, given[key], kind)
    for name in given.get(TRUSTED, "").split(":"):
        if name:
            _check_interface(TRUSTED, name)
    for key in (GATEWAY_MODE_4, GATEWAY_MODE_6):
        if given.get(key) and given[key] not in MODES:
            raise _wrong(key, given[key], f"unknown gateway mode {given[key]}")
        if given.get(key) == "isolated" and not request.internal:
            raise _wrong(key, given[key], "gateway mode 'isolated' can only be used for an internal network")


def check_mtu(request: NetworkRequest) -> None:
    """Raises: Invalid when the MTU is no number of bytes an interface can have."""
    mtu = request.options.get(MTU, "0")
    if not (mtu.isascii() and mtu.removeprefix("-").isdecimal()):
        raise _wrong(MTU, mtu, f'strconv.Atoi: parsing "{mtu}": invalid syntax')
    if not 0 <= int(mtu) <= 65535:
        raise Invalid(f"invalid MTU number: {mtu}")
    if request.enable_ipv6 and 0 < int(mtu) < LEAST_MTU6:
        raise Invalid(f"invalid MTU number: {mtu} (IPv6 takes at least {LEAST_MTU6})")


def check_endpoint(options: Mapping[str, str]) -> list[str]:
    """What is wrong with the options of one attachment, in Docker's words where it has any."""
    problems = []
    name = options.get(IFNAME, "")
    if name and not _is_interface(name):
        problems.append(f"invalid interface name '{name}'")
    for key in (RATE_IN, RATE_OUT):
        try:
            rate(options.get(key, ""))
        except Invalid as error:
            problems.append(error.message)
    for text in filter(None, options.get(SYSCTLS, "").split(",")):
        # The docker command turns option text into lower case, hence ``ifname``.
        parts = text.split(".", 4)
        known = len(parts) == 5 and parts[0] == "net" and parts[1] in ("ipv4", "ipv6", "mpls")
        if not known or parts[3] not in ("IFNAME", "ifname") or "=" not in parts[4] or "/" in text.partition("=")[0]:
            problems.append(
                f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as"
                " 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
    return problems


def _check_interface(key: str, name: str) -> None:
    if name and not _is_interface(name):
        raise _wrong(key, name, f"not a name an interface can have: at most {MOST_NAME} characters, no '/', no space")


def _is_interface(name: str) -> bool:
    """As the kernel sees it (dev_valid_name); quotes would end a name in nft."""
    return len(name) <= MOST_NAME and name not in (".", "..") and not any(c in '/:"\\' or not c.isprintable()
                                                                          or c.isspace() for c in name)


def _check_address(key: str, text: str, kind: type[IPv4Address] | type[IPv6Address]) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        raise _wrong(key, text, "nil ip") from None
    if not isinstance(address, kind):
        raise _wrong(key, text, "wrong address family")


def _wrong(key: str, value: str, why: str) -> Invalid:
    return Invalid(f"failed to parse {key} value: {value} ({why})")
