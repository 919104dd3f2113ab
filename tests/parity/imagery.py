"""The images of the corpus, made from the machine's busybox: nothing is pulled.

ptbox has a shell and nothing else configured, ptweb exposes a port, ptfull uses every field of an image's
configuration that containers inherit.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

import images

NAMES = ("ptbox:latest", "ptweb:latest", "ptfull:latest")
_SECOND = 10**9


def build(directory: Path) -> list[Path]:
    """Write the archives into `directory`; their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    box, web, full = (directory / f"{name.partition(':')[0]}.tar" for name in NAMES)
    images.build("busybox", box, NAMES[0])
    images.build("httpd", web, NAMES[1])
    given = images.Layer(1_700_000_000)
    given.file("srv/data/given", "given by the image\n")
    config = {
        "Cmd": ["by", "default"],
        "Entrypoint": ["sh", "-c", 'echo "$0 $*"; id -un; pwd; echo "$FROM_IMAGE"'],
        "Env": [images.PATH, "FROM_IMAGE=yes"],
        "ExposedPorts": {"70/tcp": {}, "71/udp": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30 * _SECOND, "Retries": 2},
        "Labels": {"who": "somebody"},
        "StopSignal": "SIGKILL",
        "User": "nobody",
        "Volumes": {"/srv/data": {}},
        "WorkingDir": "/srv",
    }
    layers = [images.busybox_layer(1_700_000_000), given.finish()]
    images.archive(full, NAMES[2], layers, config, 1_700_000_000)
    return [box, web, full]
