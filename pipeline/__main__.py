"""Entry of `python -m pipeline`, and of `rvernet` where the project is installed."""

import sys

from pipeline.runtime import vector_width  # noqa: F401 - before numpy and torch

# isort: split
from pipeline.cli.doctor import doctor


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["doctor"]:
        doctor()  # before packages are imported, which may be missing or broken
        sys.exit()
    try:
        from pipeline.cli.app import app  # noqa: PLC0415
        from pipeline.runtime.console import run_stage  # noqa: PLC0415
    except ImportError as error:
        if (error.name or "").startswith("pipeline"):
            raise
        sys.exit(
            f"error: {error}; `make install` installs what is missing, `python -m pipeline doctor` says what it is"
        )
    run_stage(app)


if __name__ == "__main__":
    main()
