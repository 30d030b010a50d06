"""Write `docs/licences.md`: `make licences`. Every package that the lock files install, with the licence it states."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TypedDict

PAGE = Path("docs/licences.md")
PIN = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
COPYLEFT = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL", re.IGNORECASE)
HEAD = """# Licences

What `make install` and `make test` bring into `.venv`, by the lock files, with the licence each package states in its
own metadata; `make licences` rewrites this page, a test compares it with the locks. This project is MIT; nothing below
is part of it or shipped with it. In bold are licences that ask for something when their code is changed or passed on.
"""


class Package(TypedDict):
    """What pip-licenses says of a package."""

    Name: str
    Version: str
    License: str
    URL: str


def plain(name: str) -> str:
    """Return the spelling under which package names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lock: Path) -> dict[str, str]:
    """Return the versions of a lock file by plain name."""
    return {plain(name): version for name, version in PIN.findall(lock.read_text(encoding="utf-8"))}


def installed() -> list[Package]:
    """Return what is installed beside this Python."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-urls", "--with-system"]
    found: list[Package] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603
    return sorted(found, key=lambda package: plain(package["Name"]))


def table(packages: list[Package]) -> str:
    """Return a Markdown table."""
    links = [f"[{p['Name']}]({p['URL']})" if p["URL"].startswith("http") else p["Name"] for p in packages]
    rows = [f"| {link} | {p['Version']} | {licence(p)} |" for link, p in zip(links, packages, strict=True)]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows, ""])


def licence(package: Package) -> str:
    """Return a package's licence in one short line, in bold where it asks for more than to be named."""
    text = " ".join(package["License"].split())
    short = text if len(text) <= 80 else f"{text[:80]}..."  # noqa: PLR2004 - some state the whole text
    return f"**{short}**" if COPYLEFT.search(short) else short


def page(root: Path) -> str:
    """Return the whole page for the lock files of the checkout at `root`."""
    runtime, all_pins = (pinned(root / name) for name in ("requirements.lock", "requirements-dev.lock"))
    packages = [p for p in installed() if plain(p["Name"]) in runtime.keys() | all_pins.keys()]
    run = [p for p in packages if plain(p["Name"]) in runtime]
    test = [p for p in packages if plain(p["Name"]) not in runtime]
    counts = Counter(licence(p) for p in packages).most_common()
    total = "; ".join(f"{name}: {count}" for name, count in counts)
    return f"{HEAD}\n{total}.\n\n## To run it\n\n{table(run)}\n## To test it, beside that\n\n{table(test)}"


if __name__ == "__main__":
    PAGE.write_text(page(Path()), encoding="utf-8")
