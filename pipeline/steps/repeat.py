"""Train a run once more under another seed, and judge it: initialisation, order and flips differ, nothing else."""

from pathlib import Path

from pipeline.datasets.class_set import ClassMap
from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import fit_classes
from pipeline.models.artifact import RunConfig, read_run_card
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
    judging: EvaluateParams,
    *,
    run: Path,
    seed: int,
    shards: Place,
    judged_on: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
) -> None:
    """Write the package of a repetition and, beside it, what stage `evaluate` writes of a run.

    Everything but the seed is as the run's card says; pre-trained weights are held to its hashes. An interrupted
    repetition goes on from its last checkpoint. Of several processes that train together, the first one judges.

    Args:
        judging: Section `evaluate`.
        run: Package of the run that is repeated.
        seed: Of the repetition.
        shards: Cut-outs that the run was trained on.
        judged_on: Cut-outs to judge it on.
        weights: One folder a backbone.
        output: Folder to write.
        runtime: Where it is trained, and how often a checkpoint is written.

    Raises:
        ManifestError: If the run's card is absent or damaged, or about other shards.
        ParamsError: If the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
        WeightsError: If pre-trained weights are absent, damaged or others than the run's.
    """
    source = Shards(shards)
    plan, class_map = _plan(run, source, sha256_of_manifest(shards), runtime, seed)
    set_deterministic(plan.train.threads, seed)
    run_training(plan, class_map, source, weights=weights, output=output, runtime=runtime)
    if not current_context().is_main:
        return
    set_deterministic(judging.threads, seed=0)
    evaluate(judging, shards=judged_on, run=output, output=output, device=runtime.device)


def _plan(run: Path, source: Shards, sha256: str, runtime: RuntimeParams, seed: int) -> tuple[RunConfig, ClassMap]:
    card = read_run_card(run)
    if card.shards_sha256 != sha256:
        raise ManifestError(f"{source.folder}: not the shards that {card.run} was trained on; run `dvc repro`")
    train = card.train.model_copy(update={"seed": seed})
    precision = choose_precision(train.precision, pick_device(runtime.device))
    plan = card.replace(run=f"{card.run}-{seed}", train=train, made_with=describe_environment(precision))
    return plan, fit_classes(card, source)
