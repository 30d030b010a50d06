"""A test may be skipped for hardware, data or a right that the machine lacks, never for a package of `make test`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LACKS = (
    "there is no GPU",
    "no ../shared beside the checkout",
    "none of chromium",
    "torch.compile needs a C++ compiler",
    "no disk of its own without the right to mount",
    "this is not Linux",
)
"""Prefixes of accepted reasons: a GPU, data and weights, a browser, a compiler, a right, and Linux."""
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="this is not Linux")
LEFT_OUT = "ultralytics (AGPL-3.0) was left out"
"""The one package that a user may remove from `requirements.txt`; see README."""
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"


def may_skip(reason: str) -> bool:
    """Return whether a test may be skipped for this reason."""
    if reason == LEFT_OUT:
        return "\nultralytics" not in REQUIREMENTS.read_text(encoding="utf-8")
    return reason.startswith(LACKS)


def _refuse_skip(report: Any) -> None:
    """Turn a skip for any other reason into a failure."""
    if report.skipped and not hasattr(report, "wasxfail"):
        file, line, text = report.longrepr
        reason = text.removeprefix("Skipped: ")
        if not may_skip(reason):
            report.outcome = "failed"
            report.longrepr = (
                f"{file}:{line}: skipped ({reason}); install what `make test` installs, see tests/skips.py"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Check a skipped test."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Check a file that was skipped as a whole."""
    report = yield
    _refuse_skip(report)
    return report
