"""More containers on a network than one bridge has ports for; a lower limit stands for the kernel's 1,023."""

import json

from clients import MakeLab
from lab import Lab


def test_a_network_on_three_bridges_is_one_network(lab_with: MakeLab) -> None:
    lab = lab_with("--bridge-ports=2")
    assert lab.docker("network", "create", "net").code == 0
    names = [f"box{number}" for number in range(5)]
    for name in names:
        publish = ("-p", "8080:80") if name == "box4" else ()
        done = lab.docker("run", "-d", "--name", name, "--network", "net", *publish, "busybox", "sh", "-c",
                          f"while true; do echo {name} | nc -l -p 80; done")
        assert done.code == 0, done.text
    bridges = {link["master"] for link in _links(lab) if str(link["ifname"]).startswith("lbv") and "link_netnsid" in link}
    assert len(bridges) == 3
    for asking, asked in (("box0", "box4"), ("box4", "box0"), ("box2", "box4"), ("box2", "box3")):
        done = lab.docker("exec", asking, "sh", "-c", f"ping -c1 -W2 {asked} && nc {asked} 80 </dev/null")
        assert done.out.splitlines()[-1] == asked, done.text
    outside = lab.outside("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/8080 && timeout 4 cat <&3")
    assert outside.out.strip() == "box4", outside.text
    assert lab.docker("rm", "-f", *names).code == 0
    assert lab.docker("network", "rm", "net").code == 0
    left = [link["ifname"] for link in _links(lab) if link.get("operstate") != "DOWN" and "lb" in str(link["ifname"])]
    assert not left, left


def _links(lab: Lab) -> list[dict[str, object]]:
    shown: list[dict[str, object]] = json.loads(lab.host("ip", "-j", "link").out)
    return shown
