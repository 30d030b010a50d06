"""Keep the code dependencies of `dvc.yaml` equal to what each stage's script imports.

`python -m tools.code_deps` rewrites `dvc.yaml`; a test calls `code_deps` and compares.
"""

import re
from pathlib import Path

import grimp
from ruamel.yaml import YAML

DVC_YAML = Path("dvc.yaml")
WIDTH = 120


def code_deps(stage: str) -> tuple[str, ...]:
    """Return the files that running `stages/<stage>.py` can import from this project, sorted.

    Empty files (package markers) are left out: they cannot change a result without gaining a line first.
    """
    graph = grimp.build_graph("pipeline", "stages", cache_dir=None)
    script = f"stages.{stage}"
    modules = {script} | graph.find_upstream_modules(script)
    files = (_file(module) for module in modules)
    return tuple(sorted(str(file) for file in files if file.stat().st_size > 0))


def _file(module: str) -> Path:
    path = Path(module.replace(".", "/"))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def script_of(command: str) -> str:
    """Return the stage whose script a command runs."""
    match = re.match(r"python -m stages\.(\w+)", command)
    if match is None:
        raise ValueError(f"dvc.yaml: command {command!r} does not start with `python -m stages.`")
    return match.group(1)


def rewrite(path: Path = DVC_YAML) -> None:
    """Replace the `.py` dependencies of every stage by its import closure; everything else keeps its place."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = WIDTH, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(path)
    for entry in document["stages"].values():
        body = entry.get("do", entry)
        deps = body.setdefault("deps", [])
        for place in reversed([i for i, dep in enumerate(deps) if str(dep).endswith(".py")]):
            del deps[place]
        for place, file in enumerate(code_deps(script_of(body["cmd"]))):
            deps.insert(place, file)
    yaml.dump(document, path)


if __name__ == "__main__":
    rewrite()
