"""Several processes train one run as one process does."""

import csv
import os
from pathlib import Path

import pytest
import torch

from pipeline.models.artifact import load_run
from pipeline.training.dataset import MicroBatch
from pipeline.training.distributed import DistributedContext
from tests.forked import Ended, Forked
from tests.small_run import TRAIN, random_batch, select
from tests.training_data import write_cards, write_shards_of

pytestmark = pytest.mark.slow

TOLERANCE = 2e-5
"""Relative, of losses: sums over processes are rounded in another order."""
FILES = ("model.safetensors", "run.json", "history.csv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, root: Path, forked: Forked) -> tuple[Path, Ended]:
    """Train everything; 12 train samples in steps of 5, 5 and 2, which three processes share unevenly."""
    folder = tmp_path_factory.mktemp("ranked")
    batch = random_batch(12)
    parts = [select(batch, range(6)), select(batch, range(6, 12))]
    write_shards_of(folder / "shards", {"train": parts, "validation": [random_batch(7, seed=1)]})
    write_cards(folder / "weights")
    changes = {"schedule": "constant", "batch_size": 5, "learning_rate": 1e-3, "accumulate": 1}
    (folder / "params.json").write_text(TRAIN.model_copy(update=changes).model_dump_json())
    done = forked("-m", "tests.distributed_run", str(folder), cwd=root, env=os.environ)
    assert done.returncode == 0, done.stderr
    return folder, done


def history(folder: Path) -> list[dict[str, float]]:
    """Return the figures of every epoch."""
    rows = csv.DictReader((folder / "history.csv").open())
    return [{name: float(value) for name, value in row.items()} for row in rows]


BY_ONE = {"by 3": "by 1", "interrupted": "by 1", "shared by 3": "shared by 1"}
"""What one process makes of the same run."""


@pytest.mark.parametrize("output", BY_ONE)
def test_the_figures_are_those_of_one_process(trained: tuple[Path, object], output: str) -> None:
    """By 3 with an empty share in the last step, killed by 2 and ended by 1, and of branches that share weights."""
    expected, found = history(trained[0] / BY_ONE[output]), history(trained[0] / output)
    assert len(found) == len(expected) == TRAIN.epochs
    for one, several in zip(expected, found, strict=True):
        assert several == pytest.approx(one, rel=TOLERANCE)


@pytest.mark.parametrize("output", BY_ONE)
def test_the_weights_are_those_of_one_process(trained: tuple[Path, object], output: str) -> None:
    """Within what Adam makes of sums that were rounded otherwise."""
    one, several = (load_run(trained[0] / name, "cpu")[0].state_dict() for name in (BY_ONE[output], output))
    assert one.keys() == several.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(several[name], tensor, rtol=0, atol=1e-4)


def test_a_run_taken_up_by_as_many_processes_ends_in_the_same_bytes(trained: tuple[Path, object]) -> None:
    """Dropout included, which each of them draws for itself."""
    for name in FILES:
        whole, again = (trained[0] / output / name for output in ("dropping", "dropping again"))
        assert whole.read_bytes() == again.read_bytes()


def test_a_loss_that_is_not_finite_stops_all_with_one_line(
    trained: tuple[Path, Ended],
) -> None:
    """It names the samples of every process."""
    assert trained[1].stdout.splitlines() == ["[-9, 1]", "[1, 1]"]
    (line,) = [line for line in trained[1].stderr.splitlines() if "not finite" in line]
    assert line.startswith("error: ")
    assert "not finite: train/" in line or "not finite: test/" in line


@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
def test_shares_hold_every_sample_of_a_pass_once(world: int) -> None:
    """In order, however many processes there are."""
    draw = MicroBatch(torch.arange(5), torch.arange(10).reshape(5, 2) % 2 == 0)
    shares = [DistributedContext(rank, world).shard(draw) for rank in range(world)]
    assert torch.cat([share.rows for share in shares]).tolist() == draw.rows.tolist()
    assert torch.cat([share.hflip for share in shares if share.hflip is not None]).equal(draw.hflip)
