"""DVC stage `download`."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import DownloadParams
from pipeline.runtime.console import run_stage
from pipeline.steps.download import download


def main() -> None:
    """Write data/raw from the source that params.yaml names, and data/source.json."""
    download(
        load_settings(DownloadParams, Path("data/settings/download.json")),
        raw=Path("data/raw"),
        record=Path("data/source.json"),
        workers=load_runtime().worker_count(),
    )


if __name__ == "__main__":
    run_stage(main)
