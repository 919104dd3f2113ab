"""JSON to model values and back: names, cases, nulls, wrong types; recorded documents of a real engine."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api.schema import decode, encode
from landbridge.api.schema_requests import create_request, endpoints, exec_request, network_request
from landbridge.errors import Invalid
from landbridge.model.config import Config, EndpointConfig, Healthcheck, HostConfig, Mount, RestartPolicy
from landbridge.model.ports import PortBinding

# HostConfig of a container created with nothing but an image and the CLI's defaults, as Docker 26.1.5 shows it.
RECORDED_HOST = (
    '{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"json-file","Config":{}},"NetworkMode":"bridge",'
    '"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostIp":"","HostPort":"8081"}]},'
    '"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,'
    '"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"host","Dns":[],"DnsOptions":[],"DnsSearch":[],'
    '"ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"",'
    '"Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"",'
    '"UsernsMode":"","ShmSize":67108864,"Runtime":"runc","Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,'
    '"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],'
    '"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,'
    '"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,'
    '"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":false,'
    '"PidsLimit":null,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,'
    '"MaskedPaths":["/proc/asound"],"ReadonlyPaths":["/proc/bus"]}'
)
RECORDED_CONFIG = (
    '{"Hostname":"6d0541298baf","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,'
    '"AttachStderr":false,"ExposedPorts":{"80/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,'
    '"Cmd":["sleep","1000"],"Image":"busybox","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,'
    '"Labels":{}}'
)


@pytest.mark.parametrize(("cls", "text"), [(HostConfig, RECORDED_HOST), (Config, RECORDED_CONFIG)])
def test_what_docker_shows_is_read_and_written_again_key_for_key(cls: type, text: str) -> None:
    document = json.loads(text)
    assert encode(decode(cls, document)) == document


def test_names_match_in_any_case_and_the_exact_one_wins() -> None:
    assert decode(Config, {"image": "a"}).image == "a"
    assert decode(Config, {"IMAGE": "a", "Image": "b"}).image == "b"
    assert decode(HostConfig, {"utsmode": "host", "BLKIODEVICEREADIOPS": []}).uts_mode == "host"


def test_unknown_names_are_ignored_null_and_absent_are_empty() -> None:
    assert decode(Config, {"Nonsense": [1], "Tty": None, "Image": None, "Labels": None}) == decode(Config, {})
    empty = decode(HostConfig, {})
    assert (empty.dns, empty.memory, empty.oom_kill_disable, empty.restart_policy) == (None, 0, None, RestartPolicy())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"Image": 5}, "number into Go struct field ContainerConfigWrapper.Config.Image of type string"),
        ({"Env": [5]}, "number into Go struct field ContainerConfigWrapper.Config.Env of type string"),
        ({"Tty": "x"}, "string into Go struct field ContainerConfigWrapper.Config.Tty of type bool"),
        ({"ExposedPorts": ["a"]}, "array into Go struct field ContainerConfigWrapper.Config.ExposedPorts of type map"),
        ({"HostConfig": {"Memory": "x"}}, "string into Go struct field HostConfig.HostConfig.Memory of type int64"),
        ({"HostConfig": {"Memory": 1.5}}, "number 1.5 into Go struct field HostConfig.HostConfig.Memory of type int"),
        ({"HostConfig": {"Memory": True}}, "bool into Go struct field HostConfig.HostConfig.Memory of type int64"),
        ({"HostConfig": []}, "array into Go struct field HostConfig.HostConfig of type"),
        ({"HostConfig": {"RestartPolicy": {"MaximumRetryCount": "a"}}},
         "string into Go struct field RestartPolicy.HostConfig.RestartPolicy.MaximumRetryCount of type int64"),
        ({"Healthcheck": {"Interval": "x"}},
         "string into Go struct field HealthcheckConfig.Config.Healthcheck.Interval of type int64"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_in_gos_words(document: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match="invalid JSON: json: cannot unmarshal ") as error:
        create_request({"Image": "a", **document}, "")
    assert words in error.value.message


def test_a_command_may_be_one_string() -> None:
    config = decode(Config, {"Cmd": "ls", "Entrypoint": ["a", "b"], "Shell": None})
    assert (config.cmd, config.entrypoint, config.shell) == (("ls",), ("a", "b"), None)
    assert decode(HostConfig, {"CapAdd": "NET_ADMIN"}).cap_add == ("NET_ADMIN",)


def test_empty_is_left_out_where_docker_does_but_a_given_zero_is_kept() -> None:
    shown = encode(Config(image="a"))
    assert not {"ExposedPorts", "Healthcheck", "StopSignal", "StopTimeout", "Shell", "MacAddress"} & set(shown)
    assert encode(Config(stop_timeout=0))["StopTimeout"] == 0
    assert encode(HostConfig(init=False))["Init"] is False
    assert "Init" not in encode(HostConfig())
    assert encode(Mount(type="bind", target="/a")) == {"Type": "bind", "Target": "/a"}
    assert encode(Healthcheck(test=("NONE",), retries=3)) == {"Test": ["NONE"], "Retries": 3}


def test_the_network_of_an_endpoint_is_no_field_of_docker() -> None:
    assert "Network" not in encode(EndpointConfig(network="n"))
    assert decode(EndpointConfig, {"Network": "other"}).network == ""


def test_create_reads_the_three_parts_in_the_order_of_the_request() -> None:
    request = create_request(
        {
            "Image": "busybox",
            "Cmd": ["sh"],
            "HostConfig": {"PortBindings": {"80/tcp": [], "81/tcp": None, "82/udp": [{"HostPort": "8"}]}},
            "NetworkingConfig": {
                "EndpointsConfig": {"zz": None, "aa": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}
            },
        },
        "web",
    )
    assert (request.name, request.config.image, request.config.cmd) == ("web", "busybox", ("sh",))
    assert [one.network for one in request.endpoints] == ["zz", "aa"]
    assert request.endpoints[1].ipam_config is not None and request.endpoints[1].ipam_config.ipv4_address == "10.0.0.2"
    assert request.host.port_bindings == {
        "80/tcp": (PortBinding(),), "81/tcp": (PortBinding(),), "82/udp": (PortBinding(host_port="8"),),
    }
    assert request.host.console_size == (0, 0)


def test_fields_of_the_host_config_beside_it() -> None:
    beside = {"Image": "a", "PublishAllPorts": True, "Memory": 1 << 24, "Cpuset": "0", "Runtime": "runc"}
    alone = create_request(beside, "").host
    assert (alone.publish_all_ports, alone.memory, alone.cpuset_cpus, alone.runtime) == (True, 1 << 24, "0", "runc")
    both = create_request({**beside, "HostConfig": {"CpuShares": 5}}, "").host
    assert (both.publish_all_ports, both.memory, both.cpuset_cpus, both.runtime) == (False, 1 << 24, "0", "")
    assert both.cpu_shares == 5
    assert create_request({**beside, "HostConfig": {"Memory": 1 << 25}}, "").host.memory == 1 << 25


@pytest.mark.parametrize("document", [{}, {"Image": None, "HostConfig": None}])
def test_create_without_anything_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="config cannot be empty in order to create a container"):
        create_request(document, "")


def test_endpoints_may_be_missing_altogether() -> None:
    assert endpoints(None) == endpoints({}) == endpoints({"EndpointsConfig": None}) == ()


def test_exec_needs_a_command() -> None:
    with pytest.raises(Invalid, match="No exec command specified"):
        exec_request({"Cmd": []})
    config = exec_request({"Cmd": ["ls"], "AttachStdout": True, "ConsoleSize": [24, 80], "Env": ["A=b"]})
    assert (config.cmd, config.attach_stdout, config.console_size, config.env) == (("ls",), True, (24, 80), ("A=b",))


def test_a_network_request_tells_what_was_not_said() -> None:
    request = network_request({"Name": "n", "CheckDuplicate": True, "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}]}})
    assert (request.name, request.driver, request.enable_ipv4, request.enable_ipv6) == ("n", "", None, None)
    assert [pool.subnet for pool in request.pools] == ["10.0.0.0/24"]
    assert network_request({"Name": "n", "EnableIPv6": False}).enable_ipv6 is False
    with pytest.raises(Invalid, match=r"number into Go struct field IPAMConfig\.IPAM\.Config\.Subnet of type string"):
        network_request({"Name": "n", "IPAM": {"Config": [{"Subnet": 3}]}})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from([*json.loads(RECORDED_HOST), "Mounts", "Tmpfs", "Init", "StorageOpt"])


@given(st.dictionaries(_FIELDS, _JSON, max_size=4))
def test_any_host_config_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        value = decode(HostConfig, document)
    except Invalid:
        return
    shown = encode(value)
    assert encode(decode(HostConfig, shown)) == shown  # an empty list that is left out comes back as none at all
