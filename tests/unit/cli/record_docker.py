"""Write the golden files again from the real docker command: `python record_docker.py [docker-binary]`.

Each file under tests/golden/cli holds cases: the arguments, and what the real command sent, printed and returned.
Only the arguments are written by hand; this script fills in the rest. `{dir}` in a result stands for `files/`
beside the golden files, the directory the command ran in, `{up}` for the one above. Not run by the tests.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from capture import CaptureServer

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cli"
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "FROM_HOST": "seen", "TZ": "UTC"}


def record(docker: str, arguments: list[str]) -> dict[str, object]:
    """One case: run docker with `arguments` against a capturing server."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        with CaptureServer(path) as server:
            done = subprocess.run(
                [docker, "-H", f"unix://{path}", *arguments],
                cwd=GOLDEN / "files",
                env=ENV,
                text=True,
                timeout=30,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
    sent = [request.comparable() for request in server.requests]
    case = {
        "argv": arguments,
        "status": done.returncode,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "requests": sent,
    }
    return dict(json.loads(json.dumps(case).replace(str(GOLDEN / "files"), "{dir}").replace(str(GOLDEN), "{up}")))


def main() -> None:
    docker = sys.argv[1] if len(sys.argv) > 1 else "docker"
    for path in sorted(GOLDEN.glob(sys.argv[2] if len(sys.argv) > 2 else "*.json")):
        cases = [record(docker, case["argv"]) for case in json.loads(path.read_text())]
        lines = ",\n".join(json.dumps(case, sort_keys=True) for case in cases)
        path.write_text(f"[\n{lines}\n]\n")
        print(path.name, len(cases))


if __name__ == "__main__":
    main()
