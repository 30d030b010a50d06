"""Fixtures every test may use, and shape checks of the library while it is tested."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # test processes share the cores; docs/decisions/threads.md
os.environ.setdefault("OMP_NUM_THREADS", "1")  # likewise, where a test says nothing of threads
from pipeline.runtime import vector_width  # noqa: F401 - before any test imports numpy, cv2 or torch

# isort: split
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from pipeline.runtime import code_hash
from tests.forked import Forked
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401 - pytest finds them here

# A stage hashes all code twice, and tests run hundreds of stages in one process: each file once.
code_hash.code_sha256 = cache(code_hash.code_sha256)
ROOT = Path(__file__).parents[1]
# A checked call takes 50 us, so only modules that handle arrays are checked; mypy checks the types of all.
HANDLES_ARRAYS = re.compile(r"^\s*(import|from) (numpy|torch|jaxtyping|pipeline\.arrays)\b", re.MULTILINE)
install_import_hook(
    [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "pipeline").rglob("*.py")
        if HANDLES_ARRAYS.search(path.read_text(encoding="utf-8"))
    ],
    "beartype.beartype",
)
# The same examples on every run, and no deadline: a busy machine must not fail a test.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first, so that no process works alone at the end; while one makes the study, others need none."""
    needs_study = {item.path for item in items if "study" in getattr(item, "fixturenames", ())}

    def place(item: pytest.Item) -> int:
        if not (item.get_closest_marker("e2e") or item.get_closest_marker("slow")):
            return 3
        return 0 if item.path.name == "test_graph.py" else 1 + (item.path in needs_study)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def unfinished_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep partial results out of this checkout, and apart for each test process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("unfinished")))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def forked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """Lend processes that need not import torch, for tests of what a process of its own does once it has started."""
    forked = Forked(root, tmp_path_factory.mktemp("forked"))
    yield forked
    forked.end()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real photos and weights beside the checkout, or skip."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the checkout: real photos and weights are not published with the code")
    return folder
