#!/usr/bin/env python3
"""Images for the demo and the tests, made from what Debian installed; no registry, no network.

    python3 demo/images.py DIRECTORY      writes busybox.tar, httpd.tar and, where apache2 is installed, apache.tar

busybox: every applet of Debian's busybox-static. httpd: the same and a page served by its httpd on port 80.
apache: Debian's own apache2 binary with its modules and libraries. The archives are what ``docker save`` writes;
`docker load` takes them, and so does landbridge. The same input gives the same archive, so the same image id.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
APACHE = Path("/usr/sbin/apache2")
APACHE_MODULES = Path("/usr/lib/apache2/modules")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PAGE = "<!DOCTYPE html>\n<html><head><title>It works!</title></head><body><h1>It works!</h1></body></html>\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    "www-data:x:33:33:www-data:/var/www:/bin/false\n"
    "nobody:x:65534:65534:nobody:/home:/bin/false\n"
)
GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"

APACHE_NEEDS = ("mpm_event", "authz_core", "dir", "mime")
APACHE_CONF = """\
ServerRoot /etc/apache2
ServerName localhost
Listen 80
PidFile /run/apache2.pid
ErrorLog /proc/self/fd/2
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog /proc/self/fd/1 common
User www-data
Group www-data
{modules}
TypesConfig /etc/mime.types
DocumentRoot /var/www/html
DirectoryIndex index.html
<Directory /var/www/html>
    Require all granted
</Directory>
"""


class Layer:
    """A tar archive in the making; parents are made as needed, times are all `mtime`."""

    def __init__(self, mtime: int) -> None:
        self._mtime = mtime
        self._made: set[str] = set()
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def directory(self, path: str, mode: int = 0o755) -> None:
        if path and path not in self._made:
            self._parents(path)
            self._add(path, tarfile.DIRTYPE, mode)

    def file(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        self._parents(path)
        self._add(path, tarfile.REGTYPE, mode, data.encode() if isinstance(data, str) else data)

    def symlink(self, path: str, target: str) -> None:
        self._parents(path)
        self._add(path, tarfile.SYMTYPE, 0o777, link=target)

    def finish(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()

    def __contains__(self, path: str) -> bool:
        return path in self._made

    def _parents(self, path: str) -> None:
        self.directory(path.rpartition("/")[0])

    def _add(self, path: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
        self._made.add(path)
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, self._mtime, len(data), link
        self._tar.addfile(info, io.BytesIO(data))


def busybox_layer(mtime: int) -> bytes:
    """A small root filesystem around the busybox binary."""
    layer = Layer(mtime)
    for path in ("bin", "dev", "etc", "home", "proc", "run", "sbin", "sys", "usr/bin", "usr/sbin", "var/log"):
        layer.directory(path)
    layer.directory("root", 0o700)
    layer.directory("tmp", 0o1777)
    layer.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    listed = subprocess.run([BUSYBOX, "--list-full"], check=True, capture_output=True, text=True).stdout
    for applet in sorted(listed.split()):
        if applet not in layer:
            layer.symlink(applet, "/bin/busybox")
    layer.file("etc/passwd", PASSWD)
    layer.file("etc/group", GROUP)
    layer.file("etc/nsswitch.conf", NSSWITCH)
    return layer.finish()


def page_layer(mtime: int) -> bytes:
    """What busybox httpd serves."""
    layer = Layer(mtime)
    layer.file("var/www/index.html", PAGE)
    return layer.finish()


def libraries(binaries: list[Path]) -> set[Path]:
    """The shared libraries of `binaries` as ldd finds them, the dynamic loader included, and libgcc_s, which glibc
    opens by itself when a thread ends."""
    out = subprocess.run(["ldd", *binaries], check=True, capture_output=True, text=True).stdout
    found = {Path(name) for name in re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", out, re.MULTILINE)}
    unwinders = {name.with_name("libgcc_s.so.1") for name in found if name.name == "libc.so.6"}
    return found | {name for name in unwinders if name.exists()}


def apache_layer(mtime: int) -> bytes:
    """Debian's apache2: the binary, the modules it needs to serve files, their libraries, a configuration."""
    modules = [APACHE_MODULES / f"mod_{name}.so" for name in APACHE_NEEDS]
    layer = Layer(mtime)
    layer.file("usr/sbin/apache2", APACHE.read_bytes(), 0o755)
    for module in modules:
        layer.file(str(module).lstrip("/"), module.read_bytes())
    for library in sorted(libraries([APACHE, *modules])):
        layer.file(str(library).lstrip("/"), library.read_bytes(), 0o755)
    loads = "\n".join(
        f"LoadModule {name}_module {module}" for name, module in zip(APACHE_NEEDS, modules, strict=True)
    )
    layer.file("etc/apache2/apache2.conf", APACHE_CONF.format(modules=loads))
    layer.file("etc/mime.types", "text/html html\ntext/plain txt\ntext/css css\n")
    layer.file("var/www/html/index.html", PAGE)
    return layer.finish()


def archive(path: Path, reference: str, layers: list[bytes], config: dict[str, Any], mtime: int) -> str:
    """Write `layers` and `config` as ``docker save`` would, named `reference`; returns the image's id."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    created = datetime.fromtimestamp(mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "config": config,
        "created": created,
        "history": [{"created": created, "created_by": "demo/images.py"} for _ in layers],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    image = json.dumps(document, sort_keys=True).encode()
    identity = hashlib.sha256(image).hexdigest()
    manifest = [
        {
            "Config": f"{identity}.json",
            "RepoTags": [reference],
            "Layers": [f"{digest}/layer.tar" for digest in digests],
        }
    ]
    outer = Layer(mtime)
    for digest, layer in zip(digests, layers, strict=True):
        outer.file(f"{digest}/layer.tar", layer)
    outer.file(f"{identity}.json", image)
    outer.file("manifest.json", json.dumps(manifest))
    path.write_bytes(outer.finish())
    return f"sha256:{identity}"


def _busybox(path: Path, reference: str) -> str:
    mtime = int(BUSYBOX.stat().st_mtime)
    return archive(path, reference, [busybox_layer(mtime)], {"Cmd": ["sh"], "Env": [PATH]}, mtime)


def _httpd(path: Path, reference: str) -> str:
    mtime = int(BUSYBOX.stat().st_mtime)
    config = {
        "Cmd": ["httpd", "-f", "-v", "-p", "80", "-h", "/var/www"],
        "Env": [PATH],
        "ExposedPorts": {"80/tcp": {}},
        # As process 1 it has no handler for SIGTERM and would be waited for in vain.
        "StopSignal": "SIGKILL",
    }
    return archive(path, reference, [busybox_layer(mtime), page_layer(mtime)], config, mtime)


def apache(path: Path, reference: str = "apache:latest") -> str:
    """Write an image of Debian's apache2 to `path`; returns its id. Raises: FileNotFoundError without apache2."""
    base = int(BUSYBOX.stat().st_mtime)
    mtime = int(APACHE.stat().st_mtime)
    config = {
        "Cmd": ["apache2", "-D", "FOREGROUND", "-f", "/etc/apache2/apache2.conf"],
        "Env": [PATH],
        "ExposedPorts": {"80/tcp": {}},
    }
    return archive(path, reference, [busybox_layer(base), apache_layer(mtime)], config, mtime)


BUILDERS: dict[str, Callable[[Path, str], str]] = {"busybox": _busybox, "httpd": _httpd, "apache": apache}


def build(name: str, path: Path, reference: str = "") -> str:
    """Write image `name` (busybox, httpd, apache) as an archive at `path`; returns its id (``sha256:…``).

    `reference` is the name it loads under, ``<name>:latest`` when empty.
    """
    return BUILDERS[name](path, reference or f"{name}:latest")


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name in BUILDERS:
        path = directory / f"{name}.tar"
        if name == "apache" and not APACHE.exists():
            print("apache: skipped, apache2 is not installed", file=sys.stderr)
            continue
        print(f"{path} {build(name, path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
