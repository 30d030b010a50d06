"""Import closure of a stage's script: the code that can change what the stage writes."""

from pathlib import Path

import grimp

from pipeline.manifest import sha256_of

PACKAGES = ("pipeline", "stages")


def import_closures(root: Path) -> dict[str, dict[str, str]]:
    """Return, for every script of `stages/`, the files that it can import from this project, with their SHA-256.

    Files are named from `root` and sorted. Empty ones (package markers) are left out: they cannot change a result
    without gaining a line first. Imports inside functions count.

    Args:
        root: Folder that holds the packages; must be the first on Python's path.
    """
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    files = {module: _file(root, module) for module in graph.modules}
    hashes = {file: sha256_of(root / file) for file in files.values() if (root / file).stat().st_size}
    stages = sorted(path.stem for path in (root / "stages").glob("[!_]*.py"))
    scripts = {stage: f"stages.{stage}" for stage in stages}
    closures = {stage: {script} | graph.find_upstream_modules(script) for stage, script in scripts.items()}
    return {
        stage: {file: hashes[file] for file in sorted(files[module] for module in modules) if file in hashes}
        for stage, modules in closures.items()
    }


def _file(root: Path, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"
