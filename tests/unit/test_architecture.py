"""The import table of the design, enforced: who may know whom, and no cycles."""

import ast
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "landbridge"

# package or module -> what it may import of ours (itself is always allowed)
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "options": {"configfile", "model", "errors"},
    "configfile": {"errors"},
    "model": {"errors"},
    "network": {"model", "errors"},
    "dns": {"model", "errors"},
    "oci": {"model", "errors"},
    "system": {"model", "errors"},
    "images": {"model", "oci", "errors"},
    "registry": {"images", "model", "oci", "errors"},
    "engine": {"images", "registry", "model", "network", "dns", "oci", "errors"},
    "api": {"engine", "images", "registry", "model", "errors"},
    "resolver": {"dns", "model", "errors"},
    "proxy": {"model", "errors"},
    "cli": {"model", "errors"},
}
COMPOSITION_ROOTS = {"daemon", "__main__"}

# Effects belong to the packages that own them; deciding code never reaches for the machine.
PURE = {"model", "network", "dns", "oci"}
EFFECT_MODULES = {
    "socket", "subprocess", "ctypes", "asyncio", "selectors", "sqlite3", "shutil", "tempfile", "threading",
}  # fmt: skip


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(SRC).with_suffix("").parts): path
        for path in SRC.rglob("*.py")
    }


def imports(path: Path, *, top_level_only: bool) -> list[str]:
    tree = ast.parse(path.read_text())
    nodes = ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree)
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def ours(names: list[str]) -> set[str]:
    return {name.removeprefix("landbridge.") for name in names if name.startswith("landbridge.")}


def test_every_import_goes_the_way_of_the_design() -> None:
    wrong = []
    for name, path in modules().items():
        package = name.split(".", maxsplit=1)[0]
        if package in COMPOSITION_ROOTS or package == "__init__":
            continue
        for target in ours(imports(path, top_level_only=False)):
            head = target.split(".", maxsplit=1)[0]
            if head not in ALLOWED[package] | {package, "__version__"}:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_pure_packages_have_no_effects() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, path in modules().items()
        if name.split(".", maxsplit=1)[0] in PURE
        for target in imports(path, top_level_only=False)
        if target.split(".", maxsplit=1)[0] in EFFECT_MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    known = modules()
    graph = {
        name: {target for target in ours(imports(path, top_level_only=True)) if target in known} - {name}
        for name, path in known.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name in done:
            return
        for target in graph[name]:
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_budgets() -> None:
    """Files up to 400 lines, functions up to 50 unless the docstring says why (`Long:`)."""
    wrong = []
    for name, path in modules().items():
        text = path.read_text()
        lines = text.count("\n")
        if lines > 400:
            wrong.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 50 and "Long:" not in (ast.get_docstring(node) or ""):
                    wrong.append(f"{name}.{node.name}: {length} lines")
    assert not wrong, "\n".join(wrong)
