"""A test is skipped for what the machine lacks; a package that is missing fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import may_skip

ROOT = Path(__file__).parents[2]
FILES = {
    "test_missing.py": 'import pytest\npytest.importorskip("no_such_package")\n',
    "test_other.py": 'import pytest\ndef test_a():\n    pytest.skip("no time")\n',
    "test_gpu.py": 'import pytest\npytest.skip("there is no GPU of CUDA", allow_module_level=True)\n',
    "test_data.py": 'import pytest\ndef test_a():\n    pytest.skip("no ../shared beside the checkout: absent")\n',
}
"""Two that must fail and two that may be skipped, each by a test and as a file."""


@pytest.mark.parametrize("processes", [0, 2])
def test_only_what_the_machine_lacks_is_skipped(tmp_path: Path, processes: int) -> None:
    """In one process or several, whether pytest skips a test or a whole file."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    plugins = ("tests.skips", "no:cacheprovider", "no:jaxtyping", "no:hydra_pytest")
    command = [sys.executable, "-m", "pytest", "-n", str(processes), "-rs", "--rootdir", str(tmp_path)]
    command += ["--basetemp", str(tmp_path / "base")]  # else it would sweep away what this pytest's forerunners left
    command += [part for plugin in plugins for part in ("-p", plugin)]
    done = subprocess.run(  # noqa: S603
        [*command, "--continue-on-collection-errors", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    for name in ("test_missing.py", "test_other.py"):
        assert f"{name}:2: skipped (" in done.stdout or f"{name}:3: skipped (" in done.stdout
    assert "2 skipped" in done.stdout


def test_a_package_of_the_requirements_is_no_excuse() -> None:
    """Leaving ultralytics out is, once it is left out."""
    assert not may_skip("optional: requirements-ray.txt")
    assert may_skip("ultralytics (AGPL-3.0) was left out") is (
        "\nultralytics" not in (ROOT / "requirements.txt").read_text()
    )
