"""daemon.json: dockerd's configuration file, as the flags it stands for. Pure; `options` reads it and adds the flags.

Keys are those of dockerd: a flag's name, in the plural for what may be given several times. What is said in the file
may not be said by a flag as well, and a key that nothing is known of is an error, as with dockerd.
"""

import json
from collections.abc import Collection

from landbridge.errors import Invalid

PATH = "/etc/landbridge/daemon.json"

_PLURALS = {
    "hosts": "host", "dns-opts": "dns-opt", "labels": "label", "registry-mirrors": "registry-mirror",
    "insecure-registries": "insecure-registry", "host-gateway-ips": "host-gateway-ip", "plugin-dirs": "plugin-dir",
    "default-address-pools": "default-address-pool", "default-network-opts": "default-network-opt",
}  # fmt: skip
# True of every landbridge, whatever the file says: containers outlive the daemon.
_HOLDS_ANYWAY = {"live-restore"}


def flags(
    text: str, path: str, *, switches: Collection[str], values: Collection[str], given: Collection[str]
) -> list[str]:
    """The command line that says what the file says.

    `switches` are the names of flags without a value, `values` of those with one, `given` of those on the real command
    line. Raises: Invalid, in dockerd's words.
    """
    prefix = f"unable to configure the Docker daemon with file {path}: "
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        raise Invalid(f"{prefix}{error}") from None
    if not isinstance(document, dict):
        raise Invalid(f"{prefix}the file must hold an object")
    names = {key: _PLURALS.get(key, key) for key in document if key not in _HOLDS_ANYWAY}
    unknown = sorted(key for key, name in names.items() if name not in switches and name not in values)
    if unknown:
        raise Invalid(f"{prefix}the following directives don't match any configuration option: {', '.join(unknown)}")
    twice = sorted(key for key, name in names.items() if name in given)
    if twice:
        both = "the following directives are specified both as a flag and in the configuration file: "
        raise Invalid(prefix + both + ", ".join(twice))
    found: list[str] = []
    for key, name in names.items():
        if name in switches:
            if not isinstance(document[key], bool):
                raise Invalid(f"{prefix}{key}: must be true or false")
            found += [f"--{name}"] if document[key] else []
        else:
            found += [f"--{name}={value}" for value in _values(document[key], f"{prefix}{key}: ")]
    return found


def _values(said: object, prefix: str) -> list[str]:
    """One flag's values: a scalar, a list of them, pools as objects, network options by driver."""
    match said:
        case bool():
            return ["true" if said else "false"]
        case int() | str():
            return [str(said)]
        case list():
            return [value for one in said for value in _values(one, prefix)]
        case {"base": str(base), "size": int(size)}:
            return [f"base={base},size={size}"]
        case dict() if said and all(isinstance(one, dict) for one in said.values()):
            return [f"{driver}={key}={value}" for driver, options in said.items() for key, value in options.items()]
        case _:
            raise Invalid(f"{prefix}unexpected value {json.dumps(said)}")
