"""The table of drivers and the two without links."""

import pytest

from landbridge.errors import Forbidden
from landbridge.model.network import NetworkRequest
from landbridge.network.drivers import DRIVERS, driver, is_remote
from worlds import container, endpoint, network, sandbox


def test_every_driver_knows_its_name() -> None:
    assert set(DRIVERS) == {"bridge", "macvlan", "ipvlan", "null", "host"}
    assert all(driver(name).name == name for name in DRIVERS)


def test_any_other_driver_is_a_plugins() -> None:
    assert is_remote("weave") and not any(is_remote(name) for name in DRIVERS)
    assert driver("weave").name == "weave"


@pytest.mark.parametrize("name", ["null", "host"])
def test_plain_drivers_make_nothing_and_exist_once(name: str) -> None:
    plain, net, web = driver(name), network("net", driver=name), container("web")
    assert plain.create(net, 1500) == ()
    assert plain.attach(net, endpoint(web, net, ""), sandbox(web), 1500) == ()
    with pytest.raises(Forbidden, match=f'only one instance of "{name}" network is allowed'):
        plain.check(NetworkRequest(name="x", driver=name))
