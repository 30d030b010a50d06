"""Command `doctor`: what works here, what does not, and how to get it, on one screen.

It runs in a broken environment too: only the standard library is imported, and the packages in a process of their own.
"""

from __future__ import annotations  # so that a Python that is too old gets as far as saying so

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import time
from configparser import ConfigParser
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, getproxies, urlopen

from pipeline.runtime.errors import one_line, printable, without_secrets
from pipeline.runtime.vector_width import core_count

if TYPE_CHECKING:
    from collections.abc import Callable

OK, NOTE, BAD = "ok", "--", "NO"  # works; is not here, and only what the line names needs it; is needed
PARTS = {
    "serve": {"starlette", "uvicorn"},
    "onnx": {"onnx", "onnxscript", "onnxruntime"},
    "fastsam": {"ultralytics-opencv-headless"},
    "triton": {"triton"},
}
"""Packages of the parts that `make install WITHOUT=...` leaves out."""
MODULES = (
    "numpy cv2 PIL.Image pyarrow.parquet pydantic ruamel.yaml matplotlib dvc.cli torch torchvision timm captum typer"
)
HOSTS = {
    "pypi.org": "make install",
    "huggingface.co": "pre-trained weights, the copy of FoodSeg103",
    "download.pytorch.org": "weights by torchvision, make CPU=1",
    "dl.fbaipublicfiles.com": "SAM's weights",
    "github.com": "FastSAM's weights",
    "research.larc.smu.edu.sg": "FoodSeg103 by its authors",
}
"""What is fetched from each host."""
HOST_SECONDS, IMPORT_SECONDS = 5, 180
WIDTH = 110
ROOT = Path(__file__).parents[2]
DISK, MEMORY = 3, 2  # GB that the demo needs
PROBE = """
import importlib, json, sys
from pipeline.runtime import vector_width
for name in sys.argv[1:]:
    print(json.dumps(["importing", name]), flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(json.dumps(["error", name, f"{type(error).__name__}: {error}"]), flush=True)
if (torch := sys.modules.get("torch")) is not None:
    gpus = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    found = [f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus]
    print(json.dumps(["torch", torch.__version__, found or ["mps"] * torch.backends.mps.is_available()]), flush=True)
print(json.dumps(["done"]))
"""


class Diagnosis(NamedTuple):
    """One line of the screen."""

    mark: str
    what: str
    says: str


def find_python() -> Diagnosis:
    """Look at Python and the system."""
    says = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what says so
        return Diagnosis(BAD, "Python", f"{says}: 3.11 or newer is needed: make PYTHON=python3.12 install")
    return Diagnosis(OK, "Python", says)


def find_checkout() -> Diagnosis:
    """Look at git and the commit."""
    if shutil.which("git") is None:
        return Diagnosis(BAD, "git", "not on PATH: DVC needs it")
    ask = ["git", "describe", "--always", "--dirty=, with changes"]
    said = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    absent = [name for name in ("params.yaml", "dvc.yaml") if not Path(name).is_file()]
    if absent or said.returncode != 0:
        what = f"{absent[0]} is not here" if absent else one_line(Exception(said.stderr))
        return Diagnosis(BAD, "checkout", f"{Path.cwd()}: {what}: run this in the clone's folder")
    return Diagnosis(OK, "checkout", f"commit {said.stdout.strip()}")


def find_packages() -> Diagnosis:
    """Compare what is installed with requirements.txt; without the parts that can be left out."""
    optional = set().union(*PARTS.values())
    pinned = re.findall(r"(?m)^([\w.-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    wrong = []
    for name, version in pinned:
        here = installed(name)
        if here is None and name not in optional:
            wrong.append(f"{name} absent")
        elif here is not None and here.removesuffix("+cpu") != version:  # +cpu: the same release
            wrong.append(f"{name} {here} instead of {version}")
    if wrong:
        return Diagnosis(BAD, "packages", f"{first_of(wrong, 4, ', ')}: make install")
    return Diagnosis(OK, "packages", f"{len(pinned)} as in requirements.txt")


def find_parts() -> Diagnosis:
    """Look for the parts that can be left out."""
    absent = [part for part, names in PARTS.items() if None in map(installed, names)]
    if sys.platform != "linux":
        absent = [part for part in absent if part != "triton"]
    ray = "" if installed("ray") else "; ray: pip install -r requirements-ray.txt"
    if absent:
        return Diagnosis(NOTE, "parts", f"left out: {', '.join(absent)}: make install WITHOUT={ray}")
    return Diagnosis(OK, "parts", f"{', '.join(PARTS)}{ray}")


def first_of(found: list[str], shown: int, separator: str) -> str:
    """Return the first few of many, and how many more there are."""
    return separator.join(found[:shown]) + (f" and {len(found) - shown} more" if len(found) > shown else "")


def installed(name: str) -> str | None:
    """Return the installed version of a package, None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_imports() -> list[Diagnosis]:
    """Import the packages in another process, which may crash; look at the device that torch finds."""
    names = MODULES.split()
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", PROBE, *names],
            cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=IMPORT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [Diagnosis(BAD, "imports", f"not done within {IMPORT_SECONDS} s: a slow disk, or an import that hangs")]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    broken = [f"{line[1]} ({one_line(Exception(line[2]))[:100]})" for line in lines if line[0] == "error"]
    if ["done"] not in lines:
        last = next((line[1] for line in reversed(lines) if line[0] == "importing"), "Python")
        broken.append(f"{last} (the process ended with status {done.returncode})")
    if broken:
        return [Diagnosis(BAD, "imports", f"{first_of(broken, 2, '; ')}: rm -rf .venv && make install")]
    version, devices = next(line[1:] for line in lines if line[0] == "torch")
    return [Diagnosis(OK, "imports", f"{len(names)} packages, torch {version}"), find_device(version, devices)]


def find_device(version: str, devices: list[str]) -> Diagnosis:
    """Say where models run."""
    cores = core_count()
    if devices:
        return Diagnosis(OK, "device", f"{'; '.join(devices)}; {cores} CPU cores")
    if Path("/dev/nvidiactl").exists():
        why = "make install CPU=0" if "+cpu" in version else "is its driver older than CUDA's version? nvidia-smi"
        return Diagnosis(NOTE, "device", f"{cores} CPU cores; torch {version} does not see the NVIDIA GPU here: {why}")
    return Diagnosis(OK, "device", f"{cores} CPU cores, no GPU: enough for the demo, slow for FoodSeg103")


def find_room() -> Diagnosis:
    """Look at the free disk space and memory, also of a container."""
    from pipeline.runtime.resources import available_bytes  # noqa: PLC0415 - a broken environment may lack its modules

    disk, memory = shutil.disk_usage(Path.cwd()).free / 1e9, available_bytes() / 1e9
    says = f"{disk:.1f} GB of disk and {memory:.1f} GB of memory are free"
    if disk < DISK or memory < MEMORY:
        return Diagnosis(BAD, "room", f"{says}: the demo needs {DISK} GB and {MEMORY} GB")
    return Diagnosis(OK, "room", says)


def find_data() -> Diagnosis:
    """Look for what the stages have written."""
    folders = ("raw", "index", "shards", "weights", "mask_weights", "runs", "report")
    counts = {name: len(list(Path("data", name).glob("[!.]*"))) for name in folders}
    here = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
    if absent := ", ".join(name for name, count in counts.items() if not count):
        return Diagnosis(NOTE, "data", f"{here or 'nothing yet'}; no {absent}: dvc pull fetches, dvc repro makes them")
    return Diagnosis(OK, "data", here)


def find_remote() -> Diagnosis:
    """Look for the team's remote in DVC's settings; no credentials are shown."""
    settings = ConfigParser(interpolation=None, strict=False)
    settings.read([".dvc/config", ".dvc/config.local"], encoding="utf-8")
    urls = {name.split('"')[1]: settings[name].get("url", "") for name in settings.sections() if '"' in name}
    default = settings.get("core", "remote", fallback=None)
    if not urls:
        return Diagnosis(NOTE, "remote", "none for DVC; a team needs one: docs/teams.md")
    shown = ", ".join(f"{name} ({url})" for name, url in sorted(urls.items()))
    if default is None:
        return Diagnosis(NOTE, "remote", f"{shown}, none is the default: dvc remote default NAME")
    return Diagnosis(OK, "remote", f"{shown}; default {default}")


def find_hosts() -> Diagnosis:
    """Ask all hosts at once whether they answer, through the proxy of the environment; any answer counts."""
    answered = set()

    def ask(host: str) -> None:
        try:
            urlopen(Request(f"https://{host}/", method="HEAD"), timeout=HOST_SECONDS).close()
        except HTTPError:
            pass
        except (OSError, ValueError):
            return
        answered.add(host)

    # Looking a name up cannot be interrupted, so that nobody waits for these threads.
    threads = [Thread(target=ask, args=[host], daemon=True) for host in HOSTS]
    for thread in threads:
        thread.start()
    end = time.monotonic() + HOST_SECONDS + 1
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    through = f" through the proxy {proxy}" if (proxy := getproxies().get("https")) else ""
    silent = [f"{host} ({what})" for host, what in HOSTS.items() if host not in answered]
    if silent:
        advice = "" if through else "; behind a proxy: export HTTPS_PROXY=http://HOST:PORT"
        return Diagnosis(NOTE, "network", f"no answer{through} of {', '.join(silent)}{advice}. The demo needs none")
    return Diagnosis(OK, "network", f"{len(HOSTS)} hosts answer{through}")


def examine() -> list[Diagnosis]:
    """Return all diagnoses; one that cannot be made is one, too."""
    checks: list[Callable[[], Diagnosis | list[Diagnosis]]] = [
        find_python, find_checkout, find_packages, find_imports, find_parts, find_room, find_data, find_remote,
        find_hosts,
    ]  # fmt: skip
    diagnoses: list[Diagnosis] = []
    for check in checks:
        try:
            found = check()
        except Exception as error:  # noqa: BLE001 - whatever is broken here, the other lines are wanted
            found = Diagnosis(BAD, check.__name__[5:], f"cannot be checked: {type(error).__name__}: {one_line(error)}")
        diagnoses += found if isinstance(found, list) else [found]
    return diagnoses


def doctor() -> None:
    """Say what works here, what does not, and how to get it. Exit code 1: something needed is missing.

    The lines hold no credentials; paste them into a bug report.
    """
    diagnoses = examine()
    for mark, what, says in diagnoses:
        text = f"{mark}  {what:<9} {printable(without_secrets(says))}"
        print(textwrap.fill(text, WIDTH, subsequent_indent=" " * 14, break_on_hyphens=False))  # noqa: T201
    wrong = [line.what for line in diagnoses if line.mark == BAD]
    print(f"needed and not right: {', '.join(wrong)}" if wrong else "all that is needed is here")  # noqa: T201
    if wrong:
        sys.exit(1)
