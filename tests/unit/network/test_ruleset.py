"""World → elements: what each object adds, and that changes and the whole agree."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import worlds
from landbridge.model.ports import Binding, Port
from landbridge.network import nfttext, options, ruleset
from landbridge.network.gateways import Lead
from landbridge.network.steps import Element, Rules

NET = worlds.network("net")
WEB = worlds.container("web")
ENDPOINT = worlds.endpoint(WEB, NET, "172.18.0.2/20")
BRIDGE = f'"{NET.bridge}"'


def binding(ip: str, host: int, port: int = 80, proto: str = "tcp", count: int = 1) -> Binding:
    return Binding(port=Port(port, proto), host_ip=ip, host_port=host, count=count)


def test_a_network_is_a_handful_of_elements_whatever_lives_on_it() -> None:
    assert set(ruleset.network_elements(NET)) == {
        Element("bridges", BRIDGE),
        Element("same_network", f"{BRIDGE} . {BRIDGE}"),
        Element("subnets", f"172.18.0.0/20 . {BRIDGE}"),
        Element("masqueraded", f"ipv4 . {BRIDGE}"),
        Element("masqueraded", f"ipv6 . {BRIDGE}"),
    }


def kinds(**rest: object) -> set[str]:
    return {one.container for one in ruleset.network_elements(replace(NET, **rest))}


def test_internal_networks_have_no_way_out() -> None:
    assert kinds(internal=True) == {"bridges", "same_network", "subnets", "internal"}


def test_options_switch_icc_and_masquerade_off() -> None:
    assert kinds(options={options.ICC: "false", options.MASQUERADE: "false"}) == {"bridges", "closed", "subnets"}


def of_mode(four: str, six: str) -> set[Element]:
    given = {options.GATEWAY_MODE_4: four, options.GATEWAY_MODE_6: six}
    found = set(ruleset.network_elements(replace(NET, options=given)))
    return {one for one in found if one.container in ("masqueraded", "routed", "unprotected")}


def test_gateway_modes_are_per_family() -> None:
    assert of_mode("routed", "nat") == {
        Element("routed", f"ipv4 . {BRIDGE}"), Element("masqueraded", f"ipv6 . {BRIDGE}")}  # fmt: skip
    assert of_mode("nat-unprotected", "routed") == {
        Element("masqueraded", f"ipv4 . {BRIDGE}"), Element("unprotected", f"ipv4 . {BRIDGE}"),
        Element("routed", f"ipv6 . {BRIDGE}")}  # fmt: skip


def test_a_network_may_leave_as_an_address_of_its_own() -> None:
    given = {options.HOST_IPV4: "192.0.2.7", options.HOST_IPV6: "2001:db8::7"}
    found = set(ruleset.network_elements(replace(NET, options=given)))
    assert {Element("leaving_as", BRIDGE, "192.0.2.7"), Element("leaving_as6", BRIDGE, "2001:db8::7")} <= found
    assert not [one for one in found if one.container == "masqueraded"]
    assert not kinds(options={**given, options.MASQUERADE: "0"}) & {"leaving_as", "leaving_as6", "masqueraded"}


def test_trusted_interfaces_are_pairs_with_the_bridge() -> None:
    found = ruleset.network_elements(replace(NET, options={options.TRUSTED: "eth1:wg0"}))
    assert [one.key for one in found if one.container == "trusted"] == [f'"eth1" . {BRIDGE}', f'"wg0" . {BRIDGE}']


def test_ports_open_at_the_container_itself() -> None:
    bindings = (binding("0.0.0.0", 8080), binding("::", 8080), binding("0.0.0.0", 0, 90, "udp", 2))
    assert set(ruleset.opened_elements(bindings, ["172.18.0.2", "fd00::2"])) == {
        Element("opened", "tcp . 172.18.0.2 . 80"), Element("opened", "udp . 172.18.0.2 . 90"),
        Element("opened", "udp . 172.18.0.2 . 91"), Element("opened6", "tcp . fd00::2 . 80"),
        Element("opened6", "udp . fd00::2 . 90"), Element("opened6", "udp . fd00::2 . 91"),
    }  # fmt: skip


def test_open_ranges_never_overlap() -> None:
    bindings = (binding("0.0.0.0", 1000, 100, count=100), binding("0.0.0.0", 3000, 150, count=100), binding("::", 9, 250))
    assert ruleset.opened_elements(bindings, ["172.18.0.2"]) == (
        Element("opened_range", "tcp . 172.18.0.2 . 100-250"),
    )


def test_a_routed_port_is_open_and_leads_nowhere_from_the_host() -> None:
    lead = Lead(four="172.18.0.2", routed4=True, open=("172.18.0.2",))
    assert ruleset.published_elements([binding("0.0.0.0", 0)], lead) == (Element("opened", "tcp . 172.18.0.2 . 80"),)


def test_bindings_go_to_the_map_of_their_address() -> None:
    bindings = (binding("0.0.0.0", 8080), binding("127.0.0.1", 8081), binding("::", 8080), binding("::1", 9))
    assert ruleset.binding_elements(bindings, "172.18.0.2", "") == (
        Element("publish_any", "tcp . 8080", "172.18.0.2 . 80"),
        Element("publish_addr", "tcp . 127.0.0.1 . 8081", "172.18.0.2 . 80"),
    )
    assert ruleset.binding_elements((binding("::", 8080),), "", "fd00::2") == (
        Element("publish6_any", "tcp . 8080", "fd00::2 . 80"),
    )


def test_a_range_of_equal_ports_is_one_element_however_long() -> None:
    runs = [binding(ip, 20000, 20000, "udp", 10000) for ip in ("0.0.0.0", "127.0.0.1", "::", "fd00::9")]
    assert ruleset.binding_elements(runs, "172.18.0.2", "fd00::2") == (
        Element("publish_range", "udp . 0.0.0.0/0 . 20000-29999", "172.18.0.2"),
        Element("publish_range", "udp . 127.0.0.1 . 20000-29999", "172.18.0.2"),
        Element("publish6_range", "udp . ::/0 . 20000-29999", "fd00::2"),
        Element("publish6_range", "udp . fd00::9 . 20000-29999", "fd00::2"),
    )


def test_a_short_or_shifted_run_is_an_element_each_port() -> None:
    short = ruleset.binding_elements([binding("0.0.0.0", 90, 90, count=2)], "172.18.0.2", "")
    assert short == (
        Element("publish_any", "tcp . 90", "172.18.0.2 . 90"), Element("publish_any", "tcp . 91", "172.18.0.2 . 91"),
    )  # fmt: skip
    shifted = ruleset.binding_elements([binding("0.0.0.0", 9000, 80, count=100)], "172.18.0.2", "")
    assert len(shifted) == 100
    assert shifted[-1] == Element("publish_any", "tcp . 9099", "172.18.0.2 . 179")


def test_published_ports_follow_the_gateway_endpoint() -> None:
    inner = worlds.network("inner", "10.1.0.0/24", "10.1.0.1", internal=True)
    first = worlds.endpoint(WEB, inner, "10.1.0.2/24", gateway4="")
    second = replace(worlds.endpoint(WEB, NET, "172.18.0.2/20", order=1))
    world = worlds.world(NET, inner, WEB, first, second, worlds.sandbox(WEB, binding("0.0.0.0", 8080)))
    published = [one for one in ruleset.elements(world) if one.container == "publish_any"]
    assert published == [Element("publish_any", "tcp . 8080", "172.18.0.2 . 80")]


def test_a_sandbox_that_is_down_publishes_nothing() -> None:
    down = replace(ENDPOINT, active=False)
    world = worlds.world(NET, WEB, down, worlds.sandbox(WEB, binding("0.0.0.0", 8080)))
    assert not [one for one in ruleset.elements(world) if one.container.startswith("publish")]


ports = st.lists(
    st.builds(
        binding, st.sampled_from(["0.0.0.0", "127.0.0.1", "::"]), st.integers(1, 9), st.integers(1, 9),
        st.sampled_from(["tcp", "udp"]), st.sampled_from([1, 2, ruleset.RANGE_FROM, 40]),
    ),
    unique=True, max_size=6,
)  # fmt: skip


@given(before=ports, after=ports)
def test_changes_applied_to_the_old_whole_give_the_new_whole(before: list[Binding], after: list[Binding]) -> None:
    both = replace(ENDPOINT, ipv6="fd00::2/64", gateway6="fd00::1")

    def whole(published: list[Binding]) -> set[Element]:
        return set(ruleset.elements(worlds.world(NET, WEB, both, worlds.sandbox(WEB, *published))))

    old = ruleset.binding_elements(before, "172.18.0.2", "fd00::2")
    new = ruleset.binding_elements(after, "172.18.0.2", "fd00::2")
    change = Rules(add=tuple(set(new) - set(old)), remove=tuple(set(old) - set(new)))
    assert (whole(before) - set(change.remove)) | set(change.add) == whole(after)
    back = change.inverse()
    assert (whole(after) - set(back.remove)) | set(back.add) == whole(before)


def test_a_change_is_one_command_per_map_and_removes_first() -> None:
    add = [Element("publish_any", f"tcp . {port}", "172.18.0.2 . 80") for port in range(1, 4)]
    remove = [Element("publish_any", "tcp . 1", "172.18.0.9 . 80")]
    assert nfttext.change("t", add, remove) == (
        "delete element inet t publish_any { tcp . 1 }\n"
        "add element inet t publish_any { tcp . 1 : 172.18.0.2 . 80, tcp . 2 : 172.18.0.2 . 80,"
        " tcp . 3 : 172.18.0.2 . 80 }\n"
    )
    assert nfttext.change("t", [], []) == ""


def test_the_users_chain_is_declared_and_never_flushed() -> None:
    text = nfttext.full("t", [], ruleset.chains())
    assert "chain user { }" in text
    assert "flush chain inet t user" not in text
    assert "set allowed {" in text
    assert "flush set inet t allowed" not in text
    assert "flush chain inet t forward" in text
    assert "jump user" in text


def test_under_the_hosts_own_firewall_only_allowed_ports_are_led_in() -> None:
    def prerouting(policy: str) -> list[str]:
        lines = nfttext.full("t", [], ruleset.chains(policy)).splitlines()
        return [line.removeprefix("add rule inet t prerouting ") for line in lines if line.startswith("add rule inet t prerouting")]

    closed = "iifname @closed accept"
    assert prerouting("open") == prerouting("local") == [closed, "fib daddr type local jump publish"]
    assert [rule.split(" fib")[0] for rule in prerouting("host-firewall")] == [
        closed, "iifname @bridges", "meta l4proto . th dport @allowed"]  # fmt: skip


LISTING = """table inet t {
	chain user {
		tcp dport 25 drop
	}
}"""


def test_content_of_a_listing() -> None:
    assert nfttext.has_content(LISTING)
    assert not nfttext.has_content(LISTING.replace("\t\ttcp dport 25 drop\n", ""))
    assert not nfttext.has_content("table inet t {\n set allowed {\n type inet_proto . inet_service\n flags interval\n }\n}")
    assert nfttext.has_content("table inet t {\n set allowed {\n elements = { tcp . 80 }\n }\n}")
    assert not nfttext.has_content("")


def test_protocols_have_nfts_own_names() -> None:
    """Others are looked up in /etc/protocols, which a small system lacks; the whole table would then not load."""
    text = "\n".join(rule for policy in ruleset.POLICIES for _, rules in ruleset.chains(policy).values() for rule in rules)
    named = {word.strip() for group in re.findall(r"l4proto (?:\{([^}]*)\}|\w+)", text) for word in group.split(",")}
    assert {"tcp", "icmp"} <= named <= {"tcp", "udp", "sctp", "icmp", "icmpv6"}
