"""Gradio, told before it is imported to call nobody and to keep its files where the page's folder is.

Import gradio from here alone: it reads these variables once.
"""

import os
import tempfile
from pathlib import Path

os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False",
    GRADIO_TEMP_DIR=tempfile.mkdtemp(prefix="rvernet-page-"),
    GRADIO_RUN_HISTORY="False",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",
)

import gradio

__all__ = ["FOLDER", "gradio"]

FOLDER = Path(os.environ["GRADIO_TEMP_DIR"])
"""Where everything lies that the page writes; removed when it ends."""
