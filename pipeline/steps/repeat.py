"""Train a run again under another seed, which sets initialisation, order and flips, and evaluate it."""

from pathlib import Path

from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import fit_classes
from pipeline.models.artifact import read_run_card
from pipeline.models.device import choose_precision, pick_device, set_deterministic
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import sha256_of_manifest
from pipeline.runtime.stores import Place
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import describe_environment, run_training
from pipeline.training.distributed import current_context


def repeat(  # noqa: PLR0913 - every path and name of the stage
    evaluation: EvaluateParams,
    *,
    run: Path,
    seed: int,
    shards: Place,
    eval_shards: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
    ambiguous: Path | None = None,
) -> None:
    """Write the package of a repetition and, beside it, what stage `evaluate` writes.

    Everything but the seed is as in the run's card; pre-trained weights must have its hashes. An interrupted repetition
    goes on from its last checkpoint. With several processes, rank 0 evaluates.

    Raises:
        ManifestError: If the run's card is absent or damaged, or about other shards.
        ParamsError: If the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
        WeightsError: If pre-trained weights are absent, damaged or others than the run's.
    """
    source, card = Shards(shards), read_run_card(run)
    if card.shards_sha256 != sha256_of_manifest(shards):
        raise ManifestError(f"{source.folder}: not the shards that {card.run} was trained on; run `dvc repro`")
    params = card.train.model_copy(update={"seed": seed})
    precision = choose_precision(params.precision, pick_device(runtime.device))
    config = card.replace(run=f"{card.run}-{seed}", train=params, made_with=describe_environment(precision))
    set_deterministic(params.threads, seed)
    run_training(config, fit_classes(card, source), source, weights=weights, output=output, runtime=runtime)
    if current_context().is_main:
        set_deterministic(evaluation.threads, seed=0)
        evaluate(evaluation, shards=eval_shards, run=output, output=output, device=runtime.device, ambiguous=ambiguous)
