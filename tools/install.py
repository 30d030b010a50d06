"""Install lock files into the running environment by uv or pip: `make install`. The options: docs/install.md.

Nothing else is installed yet, so that only the standard library is used, and modules of the pipeline that need no more.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import getproxies, urlopen

from pipeline.cli.doctor import PARTS, installed
from pipeline.runtime.errors import without_secrets

GIGABYTES = {"all": 6.8, "cpu": 2.0}
"""Disk space of an installation; docs/install.md."""
CPU_LOCK = Path("requirements-cpu.lock")
FROM_CPU_INDEX = ("torch", "torchvision")
PYPI = "https://pypi.org/simple/"
PIP_ONLY = {"index-url", "extra-index-url", "find-links", "no-index", "proxy", "cert", "client-cert", "trusted-host"}
"""Settings of pip that uv does not read."""
ENTRY = re.compile(r"(?m)^(?=[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?==)")
REQUIRER = re.compile(r"(?m)^    #(?: via)? +(?!via$|-c )(\S.*)$")


def name_of(entry: str) -> str:
    """Return the name of an entry of a lock."""
    return re.split(r"[\[=]", entry)[0]


def requirers(lock: str) -> dict[str, set[str]]:
    """Return for each package of a lock what requires it: packages, or `-r FILE`."""
    found: dict[str, set[str]] = {}
    for entry in ENTRY.split(lock)[1:]:
        found.setdefault(name_of(entry), set()).update(REQUIRER.findall(entry))
    return found


def required_by_these_alone(unwanted: set[str], by: dict[str, set[str]]) -> set[str]:
    """Return `unwanted` packages and those that nothing else requires."""
    gone = unwanted & by.keys()
    while more := {name for name, needing in by.items() if name not in gone and needing and needing <= gone}:
        gone |= more
    return gone


def cuda_packages(by: dict[str, set[str]]) -> set[str]:
    """Return the packages by which PyTorch uses NVIDIA's GPUs."""
    return {name for name, needing in by.items() if needing == {"torch"} and re.match("nvidia-|cuda-|triton$", name)}


def pip_settings() -> dict[str, str]:
    """Return the settings of pip's files and environment variables, by option."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    return {name: value.strip("'\"") for name, value in re.findall(r"(?m)^\S+\.([\w-]+)=(.*)$", listed)}


def command_of(installer: str, settings: dict[str, str]) -> list[str]:
    """Return the command `uv pip` if uv is there and pip has no settings that uv ignores, else `pip`."""
    uv, ignored = shutil.which("uv"), sorted(PIP_ONLY & settings.keys())
    if installer == "auto" and uv and ignored:
        print(f"installing with pip, since uv does not read its {', '.join(ignored)}; INSTALLER=uv takes uv anyway")
    if installer == "uv" and not uv:
        sys.exit("error: INSTALLER=uv: there is no uv on PATH; install it, or leave INSTALLER out")
    if uv and (installer == "uv" or (installer == "auto" and not ignored)):
        return [uv, "pip"]
    return [sys.executable, "-m", "pip"]


def ensure_room(needed: float) -> None:
    """Exit if fewer than `needed` GB are free for packages, or half of that for what is downloaded meanwhile."""
    place, temporary = Path(sys.prefix), Path(tempfile.gettempdir())
    shared = place.stat().st_dev == temporary.stat().st_dev
    for folder, size in ((place, 1.5 * needed if shared else needed), (temporary, needed / 2)):
        if (free := shutil.disk_usage(folder).free / 1e9) < size:
            sys.exit(
                f"error: {folder}: {size:.1f} GB are needed here and {free:.1f} GB are free; make room, or set TMPDIR "
                "to a folder on another disk; `make CPU=1 ...` needs a third (docs/install.md)"
            )


def reason(index: str) -> str:
    """Return why an installation from an index may have failed."""
    proxy, shown = getproxies().get("https"), without_secrets(index)
    try:
        urlopen(f"{index.rstrip('/')}/torch/", timeout=10).close()  # noqa: S310 - the user's own index
    except HTTPError as error:
        return f"{shown} answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        through = f" through the proxy {without_secrets(proxy)} of HTTPS_PROXY" if proxy else ""
        advice = "check it" if proxy else "behind a proxy: export HTTPS_PROXY=http://HOST:PORT"
        cause = getattr(error, "reason", error)
        return f"{shown} does not answer{through} ({cause}); {advice}; without a network: docs/install.md"
    return f"see the lines above; {shown} answers"


def run(command: list[str], index: str, advice: str = "") -> None:
    """Run pip or uv; exit with one line if it fails."""
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603
        sys.exit(f"error: packages were not installed: {reason(index)}{advice}")


def has_gpu() -> bool:
    """Tell whether there is a device of NVIDIA, also in WSL."""
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))


def install_cpu_builds(install: list[str], lock: str, index: str) -> None:
    """Install PyTorch's CPU builds at the versions of a lock, by hashes of `CPU_LOCK` if there is one."""
    versions = [re.search(rf"(?m)^{name}==([^\s;]+)", lock) for name in FROM_CPU_INDEX]
    pinned = [f"{found[0]}+cpu" for found in versions if found]
    if CPU_LOCK.is_file():
        pinned = ["--require-hashes", "-r", str(CPU_LOCK)]
    else:
        print(f"{' '.join(pinned)}: checked by the hashes that {without_secrets(index)} states; {CPU_LOCK} is not here")
    option = "--index-url" if "-m" in install else "--default-index"  # of uv, which also has the first; it is weaker
    more = "; or leave CPU=1 out: the build with CUDA runs without a GPU too (docs/install.md)"
    run([*install, "--no-deps", option, index, *pinned], index, more)


def main() -> None:
    """Install what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--no-hashes", action="store_true", help="the file is no lock: take what the index has")
    parser.add_argument("--installer", default="auto", choices=("auto", "uv", "pip"))
    parser.add_argument("--cpu", metavar="INDEX", help="take PyTorch's CPU builds from this index (Linux)")
    parser.add_argument("--without", nargs="*", default=[], choices=PARTS, help="parts to leave out")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C: pip and uv say enough
    lock, torch = options.lock.read_text(encoding="utf-8"), installed("torch")
    cpu = options.cpu if sys.platform == "linux" else None  # elsewhere PyPI has CPU builds alone
    if torch is None:
        ensure_room(GIGABYTES["cpu" if cpu or sys.platform != "linux" else "all"])
        if sys.platform == "linux" and not cpu and not has_gpu():
            print("no NVIDIA GPU here: `make CPU=1 ...` takes a third of the space; docs/install.md says what differs")

    settings = pip_settings()
    pip = command_of(options.installer, settings)
    if pip[-2] == "-m":
        install, index = [*pip, "install", "--disable-pip-version-check"], settings.get("index-url", PYPI)
    else:
        install = [*pip, "install", "--python", sys.executable]
        index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or PYPI
    if cpu:
        install_cpu_builds(install, lock, cpu)
    elif torch and torch.endswith("+cpu"):  # which the lock's version would leave as it is
        run([sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *FROM_CPU_INDEX], index)

    by = requirers(lock)
    unwanted = set().union(*(PARTS[part] for part in options.without)) | (cuda_packages(by) if cpu else set())
    wanted, gone = options.lock, required_by_these_alone(unwanted, by)
    if gone:
        print(f"left out: {' '.join(sorted(gone))}")
        wanted = Path(sys.prefix) / options.lock.name
        entries = ENTRY.split(lock)[1:]
        wanted.write_text("".join(entry for entry in entries if name_of(entry) not in gone), encoding="utf-8")
    # A lock names every package, so that none is added; without hashes, dependencies are resolved.
    run([*install, *([] if options.no_hashes else ["--require-hashes", "--no-deps"]), "-r", str(wanted)], index)


if __name__ == "__main__":
    main()
