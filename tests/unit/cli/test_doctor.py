"""`doctor` on a machine where all is well, without packages, without network, and with a broken package."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from pipeline.cli.doctor import (
    BAD,
    HOSTS,
    NOTE,
    OK,
    Diagnosis,
    doctor,
    find_imports,
    find_packages,
    find_remote,
    installed,
)

PROXY = "http://me:hunter2@127.0.0.1:9"


def run(python: Path | str, root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline`."""
    return subprocess.run(  # noqa: S603
        [python, "-m", "pipeline", *arguments],
        cwd=root, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_complete_installation_without_network_is_all_that_is_needed(root: Path) -> None:
    """One screen, exit code 0; the hosts that do not answer are named with what comes from them, the proxy too."""
    done = run(sys.executable, root, "doctor", HTTPS_PROXY=PROXY, https_proxy=PROXY)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\nall that is needed is here\n")
    assert len(done.stdout.splitlines()) <= 24
    assert max(map(len, done.stdout.splitlines())) <= 110
    words = " ".join(done.stdout.split())
    assert "no answer through the proxy http://127.0.0.1:9 of pypi.org (make install)" in words
    assert all(host in words for host in HOSTS)
    assert "hunter2" not in done.stdout + done.stderr


def test_without_any_package_it_says_what_to_install(root: Path, tmp_path: Path) -> None:
    """As in a fresh clone; and other commands name it instead of a traceback."""
    venv.create(tmp_path / "env")
    done = run(tmp_path / "env/bin/python", root, "doctor", HTTPS_PROXY=PROXY, https_proxy=PROXY)
    assert done.returncode == 1
    words = " ".join(done.stdout.split())
    assert "NO packages torch absent, torchvision absent, " in words
    assert "more: make install" in words
    assert "parts left out: serve, onnx, fastsam" in words
    assert words.endswith("needed and not right: packages, imports")
    assert done.stderr == ""
    done = run(tmp_path / "env/bin/python", root, "predict", "meal.jpg")
    assert done.returncode == 1
    assert done.stderr.startswith("error: No module named")
    assert done.stderr.endswith(
        "`make install` installs what is missing, `python -m pipeline doctor` says what it is\n"
    )


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise OSError('libtorch_cpu.so: file too short')", "numpy (OSError: libtorch_cpu.so: file too short)"),
        ("import os; os.kill(os.getpid(), 11)", "numpy (the process ended with status -11)"),
        ("print('[ no JSON'); import os; os._exit(0)", "numpy (the process ended with status 0)"),
    ],
    ids=["error", "crash", "exit"],
)
def test_a_broken_package_is_named(code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its import fails or ends the process."""
    (tmp_path / "numpy.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("pipeline.cli.doctor.MODULES", "typer numpy")
    (found,) = find_imports()
    assert found == Diagnosis(BAD, "imports", f"{says}: rm -rf .venv && make install")


def test_another_version_than_pinned_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU build of the same release is none."""
    versions = {"torch": "2.15.0+cpu", "timm": "1.0.30", "starlette": None, "numpy": None}
    monkeypatch.setattr("pipeline.cli.doctor.installed", lambda name: versions.get(name, installed(name)))
    found = find_packages()
    assert found.mark == BAD
    assert found.says.startswith("timm 1.0.30 instead of 1.0.31, numpy absent: make install")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("", Diagnosis(NOTE, "remote", "none for DVC; a team needs one: docs/teams.md")),
        (
            "['remote \"a\"']\nurl = s3://b/c\n",
            Diagnosis(NOTE, "remote", "a (s3://b/c), none is the default: dvc remote default NAME"),
        ),
        (
            "[core]\nremote = a\n['remote \"a\"']\nurl = s3://b/%c\npassword = hunter2\n",
            Diagnosis(OK, "remote", "a (s3://b/%c); default a"),
        ),
    ],
    ids=["none", "no default", "default"],
)
def test_the_remote_is_named(settings: str, found: Diagnosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its URL, never with its password."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config.local").write_text(settings)
    monkeypatch.chdir(tmp_path)
    assert find_remote() == found


def test_no_credentials_of_a_remote_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL may hold some."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"a\"']\nurl = https://me:hunter2@host/data?sig=abc\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.cli.doctor.examine", lambda: [find_remote()])
    doctor()
    assert "a (https://host/data), none" in capsys.readouterr().out
