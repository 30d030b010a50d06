"""Import closure of a stage's script: the code that can change what the stage writes."""

import hashlib
from pathlib import Path

import grimp

PACKAGES = ("pipeline", "stages")


def import_closures(root: Path) -> dict[str, dict[str, str]]:
    """Return, for every script of `stages/`, the files that it can import from this project, with their SHA-256.

    Files are named from `root` and sorted. Empty ones (package markers) are left out: they cannot change a result
    without gaining a line first. Imports inside functions count.

    Args:
        root: Folder that holds the packages; must be the first on Python's path.
    """
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    stages = sorted(path.stem for path in (root / "stages").glob("[!_]*.py"))
    closures = {stage: {f"stages.{stage}"} | graph.find_upstream_modules(f"stages.{stage}") for stage in stages}
    return {stage: _hashes(root, modules) for stage, modules in closures.items()}


def _hashes(root: Path, modules: set[str]) -> dict[str, str]:
    contents = {file: (root / file).read_bytes() for file in sorted(_file(root, module) for module in modules)}
    return {file: hashlib.sha256(content).hexdigest() for file, content in contents.items() if content}


def _file(root: Path, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"
