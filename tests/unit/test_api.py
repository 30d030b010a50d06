"""The public names, and the examples that document them."""

import doctest
import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pipeline import api
from pipeline.demo.dataset import _write_photo
from pipeline.params.study import load_study
from pipeline.runtime.errors import DatasetError, EmptyMaskError, PhotoError
from tests.forked import Forked
from tests.meal import write_meal
from tests.raw_folder import save
from tests.small_run import random_batch, write_small_run, write_small_shards


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return what examples call their files."""
    folder = tmp_path_factory.mktemp("api")
    meal = write_meal(folder)
    save(api.read_mask(meal.label_map, 1), folder / "mask.png")
    return {
        "demo_run": write_small_run(folder / "run", ("roi", "extra_roi")),
        "demo_photo": meal.photo,
        "demo_mask": folder / "mask.png",
        "demo_shards": write_small_shards(folder / "shards", [random_batch(6)]),
    }


def run_examples(text: str, names: dict[str, object], where: str) -> None:
    """Run the examples of a text; fail with what differs."""
    test = doctest.DocTestParser().get_doctest(text, dict(names), where, where, 0)
    assert test.examples
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_examples_of_the_module_hold(names: dict[str, Path]) -> None:
    """As documented, with the public names and nothing else."""
    public = {name: getattr(api, name) for name in api.__all__}
    run_examples(str(api.__doc__), {**public, **names}, "pipeline.api")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/use.md", "docs/tutorials/mask-source.md"])
def test_the_examples_of_a_page_run_as_pasted(page: str, root: Path, tmp_path: Path, forked: Forked) -> None:
    """In a new process, in a checkout whose graph has run; the photo is the demo's, for which the box was chosen."""
    write_small_run(tmp_path / "data/runs/vit+vit-all", ("roi", "extra_roi"))
    write_small_shards(tmp_path / "data/shards/annotation", [random_batch(6)])
    train_photos = load_study(root / "params.yaml").demo.train_photos
    for kind in ("img_dir", "ann_dir"):
        (tmp_path / "data/raw/Images" / kind / "test").mkdir(parents=True)
    _write_photo(tmp_path / "data/raw", 0, ("test", 0, train_photos))
    blocks = re.findall(r"```python\n(.*?)```", (root / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in map(textwrap.dedent, blocks):
        done = forked("-c", block, cwd=tmp_path, env=os.environ)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_comes_from_the_package_itself(name: str) -> None:
    """`from pipeline import NAME`."""
    assert getattr(importlib.import_module("pipeline"), name) is getattr(api, name)


def test_the_package_lists_the_names_of_the_api() -> None:
    """No more, no fewer: the list is written twice, so that asking for any other name imports nothing."""
    assert importlib.import_module("pipeline").__all__ == api.__all__


def test_importing_the_package_imports_nothing(root: Path) -> None:
    """Every stage does it, and most must not wait for torch; nor does a submodule that is asked for by name."""
    code = (
        "import sys, pipeline; from pipeline import runtime; from pipeline.runtime import errors; "
        "sys.exit('numpy' in sys.modules or 'torch' in sys.modules or 'pipeline.api' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0  # noqa: S603


def test_a_name_that_is_not_there_is_refused_as_ever() -> None:
    """With the names that are."""
    package = importlib.import_module("pipeline")
    with pytest.raises(AttributeError, match=r"no attribute 'lod_run'; there are .*load_run"):
        _ = package.lod_run


def test_masks_are_read_by_value(tmp_path: Path) -> None:
    """One food of several, or what is not black."""
    label_map = write_meal(tmp_path).label_map
    red, green = (api.read_mask(label_map, value) for value in (1, 2))
    assert not (red & green).any()
    save(red, tmp_path / "red.png")
    assert (api.read_mask(tmp_path / "red.png") == red).all()
    assert api.find_regions(api.read_photo(tmp_path / "meal.png"), [api.box(28, 6, 52, 26)])[0].status == "ok"
    assert api.point(3, 4).kind == "point"
    assert api.open_masks("grabcut").name == "grabcut"


def test_a_mask_of_several_foods_is_refused_unless_one_is_named(tmp_path: Path) -> None:
    """They are never merged in silence, in Python as little as by the command."""
    meal = write_meal(tmp_path)
    with pytest.raises(PhotoError, match=r"several foods, 1, 2; choose one by read_mask\(path, value\)"):
        api.read_mask(meal.label_map)
    assert api.read_mask(meal.label_map, 2).any()


def test_a_mask_without_a_pixel_is_refused_as_by_the_command(tmp_path: Path) -> None:
    """A value that is not there, a picture that is black."""
    meal = write_meal(tmp_path)
    with pytest.raises(DatasetError, match="no pixel has value 3; there are 1, 2"):
        api.read_mask(meal.label_map, 3)
    save(np.zeros((4, 5), np.uint8), meal.label_map)
    with pytest.raises(EmptyMaskError, match="every pixel is black"):
        api.read_mask(meal.label_map)
