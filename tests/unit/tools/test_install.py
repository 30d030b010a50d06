"""`make install`: what is left out, PyTorch's CPU builds, and one line for what fails."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import namedtuple
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from pipeline.cli.doctor import PARTS
from tools.install import cuda_packages, ensure_room, required_by_these_alone, requirers
from tools.licences import plain

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text()
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil returns it


def left_out(*parts: str) -> set[str]:
    """Return the packages of the lock that `WITHOUT="PARTS"` leaves out."""
    return required_by_these_alone(set().union(*(PARTS[part] for part in parts)), requirers(LOCK))


def test_what_is_left_out_is_needed_by_nothing_that_stays() -> None:
    """By what the installed packages themselves declare, for this machine and without extras."""
    gone = left_out(*PARTS)
    kept = requirers(LOCK).keys() - gone
    needed = {
        plain(requirement.name)
        for package in distributions()
        if plain(package.name) in kept
        for requirement in map(Requirement, package.requires or ())
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert gone & needed == {"triton"}, "which torch declares, and imports only for torch.compile on a GPU"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_takes_along_what_only_it_needs(part: str) -> None:
    """And nothing that requirements.txt names besides."""
    assert left_out(part) >= PARTS[part]
    assert {name for name in left_out(part) if "-r requirements.txt" in requirers(LOCK)[name]} == PARTS[part] - {
        "triton"
    }


def test_the_cpu_build_needs_no_package_of_nvidia() -> None:
    """All that PyTorch brings for GPUs goes; what reads a GPU's load for others stays."""
    gone = required_by_these_alone(cuda_packages(requirers(LOCK)), requirers(LOCK))
    assert {name for name in requirers(LOCK) if name.startswith(("nvidia-", "cuda-", "triton"))} - gone == {
        "nvidia-ml-py"
    }
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in gone)


@pytest.mark.slow
def test_the_pipeline_is_imported_without_the_parts() -> None:
    """Every module but those of the page, FastSAM and transformers; what needs a part says in one line which."""
    gone = left_out(*PARTS) | {"transformers", "ray"}
    hidden = {name for name, packages in packages_distributions().items() if {plain(each) for each in packages} <= gone}
    hide = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""
    walk = """
import importlib, pathlib
for path in sorted([*pathlib.Path("pipeline").rglob("*.py"), *pathlib.Path("stages").glob("*.py")]):
    name = ".".join(path.with_suffix("").parts)
    needs_more = name.endswith(("__", "ultralytics", "fastsam", "promptable", "semantic"))
    if not name.startswith(("pipeline.serving", "pipeline.labelling.app")) and not needs_more:
        importlib.import_module(name)
"""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", hide + walk], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def write_wheel(folder: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> str:
    """Write an empty package to `folder/NAME` of an index; return its SHA-256."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / name / f"{name}-{version}-py3-none-any.whl"
    record = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{record}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{record}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{record}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{record}/RECORD"]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with (folder / name / "index.html").open("a") as page:
        page.write(f'<a href="{path.name.replace("+", "%2B")}#sha256={digest}">{path.name}</a>\n')
    return digest


class Index(SimpleHTTPRequestHandler):
    """Serve the folder of `made`, silently."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder with an index `all`, one of CPU builds `cpu`, a lock of `all`, and an environment `env`.

    The file `url` has the address under which the folder is served.
    """
    folder = tmp_path_factory.mktemp("install")
    versions = {"torch": "2.15.0", "torchvision": "0.29.2", "triton": "3.9.0", "timm": "1.0"}
    needs = {"torch": ("triton",), "timm": ("torch",)}
    hashes = {
        name: write_wheel(folder / "all", name, version, needs.get(name, ())) for name, version in versions.items()
    }
    for name in ("torch", "torchvision"):
        write_wheel(folder / "cpu", name, f"{versions[name]}+cpu")
    vias = {"triton": "torch", "torch": "timm"}
    (folder / "some.lock").write_text(
        "".join(
            f"{name}=={versions[name]} \\\n    --hash=sha256:{digest}\n    # via {vias.get(name, '-r some.txt')}\n"
            for name, digest in hashes.items()
        )
    )
    venv.create(folder / "env", with_pip=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=folder)) as server:
        (folder / "url").write_text(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder
        server.shutdown()


@pytest.fixture
def place(made: Path) -> Iterator[Path]:
    """Yield the folder of `made`; its environment is emptied afterwards."""
    (site,) = (made / "env/lib").glob("*/site-packages")
    before = set(site.iterdir())
    yield made
    for path in set(site.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def install(
    place: Path, *options: str, lock: Path | None = None, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Install a lock, `some.lock` if none is given, from the index `all`, with options and variables."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_")) and "proxy" not in name.lower()
    }
    index = f"{(place / 'url').read_text()}/all"
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_RETRIES": "0", "UV_DEFAULT_INDEX": index}
    settings |= {"PYTHONPATH": str(ROOT), "UV_CACHE_DIR": str(place / "cache"), "UV_HTTP_RETRIES": "0"}
    settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uv

    return subprocess.run(  # noqa: S603
        [place / "env/bin/python", "-m", "tools.install", lock or lock or place / "some.lock", *options],
        cwd=cwd, env=own | settings | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def versions(place: Path) -> dict[str, str]:
    """Return what is installed in the environment beside pip."""
    (site,) = (place / "env/lib").glob("*/site-packages")
    found = {package.name: package.version for package in distributions(path=[str(site)])}
    return {name: version for name, version in found.items() if name not in {"pip", "setuptools"}}


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_the_cpu_build_comes_from_its_index_and_the_rest_by_the_lock(place: Path, installer: str) -> None:
    """There and back: without CPU=1 the lock's build replaces it."""
    cpu = ("--cpu", f"{(place / 'url').read_text()}/cpu")
    done = install(place, "--installer", installer, *cpu)
    assert done.returncode == 0, done.stderr
    assert versions(place) == {"torch": "2.15.0+cpu", "torchvision": "0.29.2+cpu", "timm": "1.0"}
    assert "left out: triton" in done.stdout
    done = install(place, "--installer", installer)
    assert done.returncode == 0, done.stderr
    assert versions(place) == {"torch": "2.15.0", "torchvision": "0.29.2", "triton": "3.9.0", "timm": "1.0"}


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_file_with_another_hash_is_refused(place: Path, installer: str, tmp_path: Path) -> None:
    """One line says that it failed, below the installer's own."""
    lock = tmp_path / "other.lock"
    lock.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", (place / "some.lock").read_text()))
    done = install(place, "--installer", installer, lock=lock)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: packages were not installed: see the lines above")
    assert "hash" in done.stderr.lower()


def test_hashes_of_the_cpu_builds_are_insisted_on_where_they_are_known(place: Path, tmp_path: Path) -> None:
    """As `make lock CPU=1` writes them."""
    (wheel,) = (place / "cpu/torch").glob("*.whl")
    for known, status in (("0" * 64, 1), (hashlib.sha256(wheel.read_bytes()).hexdigest(), 0)):
        (tmp_path / "requirements-cpu.lock").write_text(f"torch==2.15.0+cpu --hash=sha256:{known}\n")
        cpu = ("--cpu", f"{(place / 'url').read_text()}/cpu")
        assert install(place, "--installer", "uv", *cpu, cwd=tmp_path).returncode == status


def test_uv_is_taken_unless_pip_has_settings_that_uv_ignores(place: Path) -> None:
    """A mirror that pip alone knows is not gone past."""
    done = install(place)
    assert "installing with pip, since uv does not read its index-url; INSTALLER=uv takes uv anyway" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("proxy", [None, "http://me:hunter2@127.0.0.1:9"])
def test_an_index_that_does_not_answer_is_named_with_the_proxy(place: Path, proxy: str | None) -> None:
    """And the variable that names one; its password is not shown."""
    index = "https://127.0.0.1:9/whl/cpu"
    done = install(place, "--installer", "pip", "--cpu", index, **({"HTTPS_PROXY": proxy} if proxy else {}))
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"error: packages were not installed: {index} does not answer")
    assert "HTTPS_PROXY" in last
    assert "or leave CPU=1 out" in last
    assert "hunter2" not in last
    assert "Traceback" not in done.stderr


def test_an_unknown_part_is_refused_with_the_choices(place: Path) -> None:
    """Before anything is installed."""
    done = install(place, "--without", "gradio")
    assert done.returncode == 2
    assert "invalid choice: 'gradio' (choose from" in done.stderr


def test_too_little_space_is_said_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder, what is needed, and what takes less."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 5 * 10**9))
    monkeypatch.setattr(tempfile, "tempdir", sys.prefix)
    with pytest.raises(SystemExit, match=r"10\.2 GB are needed here and 5\.0 GB are free; make room.*CPU=1"):
        ensure_room(6.8)
    ensure_room(2.0)
