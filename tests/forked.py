"""Processes that have torch from the start: forks of one that imported what reads neither folder nor environment."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

STAGES_NEED = """
from pipeline.runtime import vector_width
import pandas, torch
from pipeline.runtime.lazy_compiler import defer_compiler
defer_compiler()
import torchvision
"""
FORKING = """
import json, os, runpy, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        for number in (1, 2):
            os.dup2(os.open(asked["said"][number - 1], os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        time.tzset()
        how, what, *sys.argv[1:] = asked["argv"]
        if how == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


Ended = subprocess.CompletedProcess[str]


class Forked:
    """Starts such processes; timm, the hub's client and all else of this project they import themselves."""

    def __init__(self, root: Path, folder: Path, preload: str = STAGES_NEED, **env: str) -> None:
        """Start what is forked, after the imports of `preload`, with the code of a checkout.

        `folder` gets what the processes say.
        """
        self.path, self.said = {"PYTHONPATH": str(root)} | env, [folder / "stdout", folder / "stderr"]
        pipe, whole, command = subprocess.PIPE, os.environ | self.path, [sys.executable, "-c", preload + FORKING]
        self.process = subprocess.Popen(command, cwd=root, env=whole, stdin=pipe, stdout=pipe, text=True)  # noqa: S603

    def __call__(self, *argv: str, cwd: Path, env: Mapping[str, str]) -> Ended:
        """Run what stands after `python`: `-m MODULE ARGUMENT...` or `-c CODE`; return status and output."""
        assert self.process.stdin
        assert self.process.stdout
        for path in self.said:
            path.write_bytes(b"")
        asked = {"argv": argv, "cwd": str(cwd), "env": {**env, **self.path}, "said": [str(path) for path in self.said]}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        status = int(self.process.stdout.readline())
        return Ended(argv, status, *(path.read_text(encoding="utf-8") for path in self.said))

    def end(self) -> None:
        """End what is forked."""
        self.process.communicate()
