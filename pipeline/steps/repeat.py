"""Train a run once more under another seed, and judge it: initialisation, order and flips differ, nothing else."""

from pathlib import Path

from pipeline.datasets.class_set import ClassMap
from pipeline.datasets.shards import Shards
from pipeline.errors import ManifestError
from pipeline.evaluation.run_samples import fit_classes
from pipeline.manifest import sha256_of_manifest
from pipeline.models.numerics import fix_numerics, pick_device
from pipeline.models.package import RunPlan, read_run_card
from pipeline.params.analysis import EvaluateParams
from pipeline.params.runtime import RuntimeParams
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import carry_out, made_with
from pipeline.stores import Place
from pipeline.training.precision import choose_precision
from pipeline.training.ranks import present_ranks


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
    fix_numerics(plan.train.threads, seed)
    carry_out(plan, class_map, source, weights=weights, output=output, runtime=runtime)
    if not present_ranks().leads:
        return
    fix_numerics(judging.threads, seed=0)
    evaluate(judging, shards=judged_on, run=output, output=output, device=runtime.device)


def _plan(run: Path, source: Shards, sha256: str, runtime: RuntimeParams, seed: int) -> tuple[RunPlan, ClassMap]:
    card = read_run_card(run)
    if card.shards_sha256 != sha256:
        raise ManifestError(f"{source.folder}: not the shards that {card.run} was trained on; run `dvc repro`")
    train = card.train.model_copy(update={"seed": seed})
    precision = choose_precision(train.precision, pick_device(runtime.device))
    plan = card.like(run=f"{card.run}-{seed}", train=train, made_with=made_with(precision))
    return plan, fit_classes(card, source)
