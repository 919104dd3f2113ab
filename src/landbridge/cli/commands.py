"""Every command: where it lives, what it takes, what it does in a line. Data only.

A command's path is its canonical name (`container ls`); `SHORT` maps the other spellings to it. Handlers are found
in the `COMMANDS` table of the command's module.
"""

from __future__ import annotations


class Command:
    """`usage` follows the command's name; between `low` and `high` arguments (None: any number)."""

    __slots__ = ("high", "interspersed", "low", "module", "summary", "usage")

    def __init__(
        self, module: str, usage: str, low: int, high: int | None, summary: str, *, interspersed: bool = True
    ) -> None:
        self.module, self.usage, self.low, self.high, self.summary = module, usage, low, high, summary
        self.interspersed = interspersed


ONE_OR_MORE = "[OPTIONS] CONTAINER [CONTAINER...]"

COMMANDS: dict[str, Command] = {
    "container attach": Command("attach", "[OPTIONS] CONTAINER", 1, 1, "Connect this terminal to a running container"),
    "container commit": Command(
        "changes", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", 1, 2, "Make an image of a container"
    ),
    "container cp": Command(
        "copy",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tlandbridge cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        2,
        2,
        "Copy files in or out of a container",
    ),
    "container create": Command(
        "run",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        1,
        None,
        "Create a container without starting it",
        interspersed=False,
    ),
    "container diff": Command("changes", "CONTAINER", 1, 1, "Show what a container changed in its filesystem"),
    "container exec": Command(
        "execute",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        2,
        None,
        "Run a command in a running container",
        interspersed=False,
    ),
    "container export": Command(
        "changes", "[OPTIONS] CONTAINER", 1, 1, "Write a container's filesystem as a tar archive"
    ),
    "container inspect": Command("inspect", ONE_OR_MORE, 1, None, "Show all about containers"),
    "container kill": Command("lifecycle", ONE_OR_MORE, 1, None, "Send a signal to containers"),
    "container logs": Command("logs", "[OPTIONS] CONTAINER", 1, 1, "Show what a container printed"),
    "container ls": Command("ps", "[OPTIONS]", 0, 0, "List containers"),
    "container pause": Command("lifecycle", "CONTAINER [CONTAINER...]", 1, None, "Freeze containers"),
    "container port": Command("port", "CONTAINER [PRIVATE_PORT[/PROTO]]", 1, 2, "List a container's port mappings"),
    "container prune": Command("prune", "[OPTIONS]", 0, 0, "Remove all stopped containers"),
    "container rename": Command("lifecycle", "CONTAINER NEW_NAME", 2, 2, "Rename a container"),
    "container restart": Command("lifecycle", ONE_OR_MORE, 1, None, "Stop containers and start them again"),
    "container rm": Command("lifecycle", ONE_OR_MORE, 1, None, "Remove containers"),
    "container run": Command(
        "run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", 1, None, "Create a container and start it", interspersed=False
    ),
    "container start": Command("start", ONE_OR_MORE, 1, None, "Start stopped containers"),
    "container stats": Command("stats", "[OPTIONS] [CONTAINER...]", 0, None, "Show what containers use, live"),
    "container stop": Command("lifecycle", ONE_OR_MORE, 1, None, "Stop running containers"),
    "container top": Command(
        "lifecycle", "CONTAINER [ps OPTIONS]", 1, None, "List a container's processes", interspersed=False
    ),
    "container unpause": Command("lifecycle", "CONTAINER [CONTAINER...]", 1, None, "Let frozen containers go on"),
    "container update": Command("update", ONE_OR_MORE, 1, None, "Change the limits of containers"),
    "container wait": Command(
        "lifecycle", "CONTAINER [CONTAINER...]", 1, None, "Wait for containers to end, print exit codes"
    ),
    "image history": Command("images", "[OPTIONS] IMAGE", 1, 1, "Show how an image came about"),
    "image import": Command(
        "archives", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", 1, 2, "Make an image from a root filesystem tar"
    ),
    "image inspect": Command("inspect", "[OPTIONS] IMAGE [IMAGE...]", 1, None, "Show all about images"),
    "image load": Command("archives", "[OPTIONS]", 0, 0, "Load images from a tar archive"),
    "image ls": Command("images", "[OPTIONS] [REPOSITORY[:TAG]]", 0, 1, "List images"),
    "image prune": Command("prune", "[OPTIONS]", 0, 0, "Remove images nothing uses"),
    "image pull": Command("registry", "[OPTIONS] NAME[:TAG|@DIGEST]", 1, 1, "Fetch an image from a registry"),
    "image push": Command("registry", "[OPTIONS] NAME[:TAG]", 1, 1, "Send an image to a registry"),
    "image rm": Command("images", "[OPTIONS] IMAGE [IMAGE...]", 1, None, "Remove images"),
    "image save": Command("archives", "[OPTIONS] IMAGE [IMAGE...]", 1, None, "Write images to a tar archive"),
    "image tag": Command("images", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", 2, 2, "Give an image another name"),
    "network connect": Command("networks", "[OPTIONS] NETWORK CONTAINER", 2, 2, "Connect a container to a network"),
    "network create": Command("networks", "[OPTIONS] NETWORK", 1, 1, "Create a network"),
    "network disconnect": Command("networks", "[OPTIONS] NETWORK CONTAINER", 2, 2, "Take a container off a network"),
    "network inspect": Command("inspect", "[OPTIONS] NETWORK [NETWORK...]", 1, None, "Show all about networks"),
    "network ls": Command("networks", "[OPTIONS]", 0, 0, "List networks"),
    "network prune": Command("prune", "[OPTIONS]", 0, 0, "Remove all networks nothing uses"),
    "network rm": Command("networks", "NETWORK [NETWORK...]", 1, None, "Remove networks"),
    "volume create": Command("volumes", "[OPTIONS] [VOLUME]", 0, 1, "Create a volume"),
    "volume inspect": Command("inspect", "[OPTIONS] VOLUME [VOLUME...]", 1, None, "Show all about volumes"),
    "volume ls": Command("volumes", "[OPTIONS]", 0, 0, "List volumes"),
    "volume prune": Command("prune", "[OPTIONS]", 0, 0, "Remove volumes nothing uses"),
    "volume rm": Command("volumes", "[OPTIONS] VOLUME [VOLUME...]", 1, None, "Remove volumes"),
    "system df": Command("disk", "[OPTIONS]", 0, 0, "Show the disk space used"),
    "system events": Command("events", "[OPTIONS]", 0, 0, "Show the daemon's events as they happen"),
    "system info": Command("system", "[OPTIONS]", 0, 0, "Show facts about the engine and its host"),
    "system prune": Command("prune", "[OPTIONS]", 0, 0, "Remove all that nothing uses"),
    "inspect": Command(
        "inspect", "[OPTIONS] NAME|ID [NAME|ID...]", 1, None, "Show all about containers, images, networks"
    ),
    "login": Command("registry", "[OPTIONS] [SERVER]", 0, 1, "Log in to a registry"),
    "logout": Command("registry", "[SERVER]", 0, 1, "Log out of a registry"),
    "search": Command("search", "[OPTIONS] TERM", 1, 1, "Look for images in a registry's index"),
    "completion": Command("shells", "bash|zsh|fish", 1, 1, "Print the completion script of a shell"),
    "version": Command("system", "[OPTIONS]", 0, 0, "Show the versions of client and server"),
    "explain": Command("explain", "[OPTIONS] TARGET", 1, 1, "Tell which way packets take to a target, and why not"),
}

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "volume": "Manage volumes",
    "system": "Manage the engine",
}

# Processes, not requests; the launcher hands them to the project's own Python before this table is read.
PROCESSES = {"daemon": "Run the engine", "resolver": "Run the DNS process", "proxy": "Run the port process"}

# Docker's commands that are left out on purpose, and why.
OMITTED = {
    **dict.fromkeys(
        ("build", "builder", "buildx"), "building images is out of scope; build elsewhere, then pull or load"
    ),
    **dict.fromkeys(
        ("swarm", "service", "stack", "node", "config", "secret"),
        "swarm mode is out of scope; overlay networks need none here",
    ),
    "context": "one daemon is named by --host or LANDBRIDGE_HOST",
    "plugin": "there are no plugins",
    "manifest": "images are made elsewhere, their lists too",
    "trust": "images are not signed here",
    "checkpoint": "landbridge has no checkpoints",
    "image build": "building images is out of scope; build elsewhere, then pull or load",
    "volume update": "only cluster volumes can be updated, and there is no swarm",
}

SHORT: dict[str, str] = {
    **{
        name: f"container {name}"
        for name in (
            "attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename",
            "restart", "rm", "run", "start", "stats", "stop", "top", "unpause", "update", "wait",
        )
    },
    **{name: f"image {name}" for name in ("history", "import", "load", "pull", "push", "save", "tag")},
    "ps": "container ls",
    "images": "image ls",
    "rmi": "image rm",
    "events": "system events",
    "info": "system info",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}  # fmt: skip

COMMON = ("run", "exec", "ps", "pull", "push", "images", "login", "logout", "search", "version", "info", "explain")
