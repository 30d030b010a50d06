"""torch's compiler stays out of a process until something compiles, and then is the real one, whole."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.forked import Forked

pytestmark = pytest.mark.slow

BEGIN = "import sys, torch\nfrom pipeline.runtime.lazy_compiler import defer_compiler, is_deferred, load_compiler\n"
STEP = """
layer = torch.nn.Linear(3, 3)
optimizer = torch.optim.Adam(layer.parameters())
layer(torch.ones(1, 3)).sum().backward()
optimizer.step()
"""
"""Reaches every mark an optimiser puts on its functions."""


@pytest.fixture(scope="module")
def result_of(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return what gives the output of code in a fresh process; the import of torch cannot be undone in this one."""
    forked = Forked(root, tmp_path_factory.mktemp("forked"), preload="import torch")

    def result_of(code: str) -> str:
        done = forked("-c", BEGIN + code, cwd=root, env=os.environ)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    yield result_of
    forked.end()


STAGES = ["train", "evaluate", "perturb", "explain", "weights", "probe"]


def test_nothing_starts_with_the_compiler(result_of: Callable[[str], str]) -> None:
    """Neither stages nor commands, not even all of them together: only the compiler imports sympy."""
    modules = [*(f"stages.{stage}" for stage in STAGES), "pipeline.inference.predictor"]
    code = f"import {', '.join(modules)}\nprint(is_deferred(), 'sympy' in sys.modules, 'timm' in sys.modules)"
    assert result_of(code).split() == ["True", "False", "True"]


def test_a_training_step_needs_no_compiler(result_of: Callable[[str], str]) -> None:
    """An optimiser marks its functions and goes on; nor do repeatable numerics bring it in."""
    numerics = "from pipeline.models.device import set_deterministic\nset_deterministic(1, 0)"
    told = "print(is_deferred(), torch.are_deterministic_algorithms_enabled(), 'sympy' in sys.modules)"
    assert result_of(f"{numerics}{STEP}{told}").split() == ["True", "True", "False"]


@pytest.mark.parametrize(
    "demand",
    [
        "torch.compile(layer, backend='eager')(torch.ones(1, 3))",
        "from torch._dynamo.eval_frame import OptimizedModule",
        "from torch._dynamo.utils import counters",
        "load_compiler()",
    ],
)
def test_any_other_use_brings_the_real_one(result_of: Callable[[str], str], demand: str) -> None:
    """However it is asked for, every module of it is there once, under its own name, and a step still works."""
    code = f"""defer_compiler()
{STEP}
{demand}
optimizer.step()
import torch._dynamo, torch._dynamo.eval_frame as frame
from torch._dynamo import eval_frame
assert torch._dynamo is sys.modules["torch._dynamo"] and eval_frame is frame is sys.modules[frame.__name__]
assert frame.__spec__.origin.endswith("eval_frame.py") and torch._dynamo.__file__.endswith("_dynamo/__init__.py")
print(is_deferred())"""
    assert result_of(code).split() == ["False"]


def test_a_function_marked_before_is_not_compiled_after(result_of: Callable[[str], str]) -> None:
    """The mark holds: the compiler leaves the function alone although it came later."""
    code = """defer_compiler()
@torch.compiler.disable
def left_alone(x):
    return torch.compiler.is_compiling()
def traced(x):
    return x + 1, torch.compiler.is_compiling(), left_alone(x)
print(left_alone(torch.ones(1)), torch.compile(traced, backend="eager")(torch.ones(1))[1:])"""
    assert result_of(code).strip() == "False (True, False)"


def test_a_compiler_that_is_there_already_stays(result_of: Callable[[str], str]) -> None:
    """Placeholders never take the place of the real modules."""
    assert result_of("import torch._dynamo\ndefer_compiler()\nprint(is_deferred())").split() == ["False"]
