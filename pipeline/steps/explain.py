"""Grad-CAM of each branch of one run, in the same test samples for every run; Figure 4 of the paper."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.index import IndexedSample, Sample, number_rows, read_samples
from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.ambiguous import pair_names
from pipeline.evaluation.grad_cam import grad_cam
from pipeline.evaluation.heat_maps import CONVENTIONS, FILE, HeatMap, describe_heat, share_inside, write_heat_maps
from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.session import SPLIT, open_session, predict_classes, predict_logits
from pipeline.params.stages import ExplainParams
from pipeline.runtime.console import progress
from pipeline.runtime.stores import Place


def choose_samples(
    samples: Iterable[Sample], *, names: Sequence[str], ambiguous: Sequence[str], count: int, seed: int
) -> list[IndexedSample]:
    """Choose samples by hash: up to half of them of the ambiguous pair, the rest over the other categories in turn.

    The pair's samples come first, then the others by category. Memory is bounded by `count` for each category.

    Args:
        samples: All of one split in the table's order, streamed.
        names: Categories to choose from.
        ambiguous: Those of the pair.
        count: Samples in all.
        seed: Seed of the hashes.
    """
    queues: dict[str, list[IndexedSample]] = defaultdict(list)
    for indexed in number_rows(samples):
        if indexed.sample.category in names:
            queue = queues[indexed.sample.category]
            queue.append(indexed)
            queue.sort(key=lambda n: _rank(n.sample.sample_id, seed))
            del queue[count:]
    each = -(-count // (2 * len(ambiguous))) if ambiguous else 0
    pair = [indexed for name in ambiguous for indexed in queues.pop(name, [])[:each]][:count]
    turns = sorted(
        (turn, _rank(n.sample.sample_id, seed), n.row, n) for queue in queues.values() for turn, n in enumerate(queue)
    )
    others = [indexed for *_, indexed in turns[: count - len(pair)]]
    return [*pair, *sorted(others, key=lambda n: (n.sample.target, n.row))]


def _rank(sample_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"explain/{seed}/{sample_id}".encode()).digest()


def explain(  # noqa: PLR0913 - one argument for each thing that the stage depends on
    params: ExplainParams,
    *,
    samples: Path,
    shards: Place,
    run: Path,
    output: Path,
    device: str,
    ambiguous: Path | None = None,
) -> None:
    """Write `heat_maps.parquet` and `summary.json` of one run; see `evaluate` for `ambiguous`.

    Raises:
        EvaluationError: If the shards do not fit the run, or a logit or map is not finite.
        ManifestError: If a stored file is absent or damaged.
        ModelError: If a backbone has no target layer.
        ParamsError: If the device is not there.
    """
    session = open_session(run, shards, device)
    card, names = session.card, session.card.class_names
    chosen = choose_samples(
        (sample for sample in read_samples(samples) if sample.split == SPLIT),
        names=names,
        ambiguous=[name for name in pair_names(ambiguous, card.ambiguous) if name in names],
        count=params.samples,
        seed=params.seed,
    )
    maps, layers = list[HeatMap](), dict[InputName, str]()
    rows = [indexed.row for indexed in chosen]
    parts = [rows[i : i + params.batch_size] for i in range(0, len(rows), params.batch_size)]
    for part in progress(parts, total=len(rows), what=f"explain {card.run}", unit="sample", count=len):
        batch = session.shards.select(SPLIT, part)
        batch = replace(batch, targets=session.classes.index[batch.targets])
        logits = predict_logits(session.model, batch, session.device)
        predictions = predict_classes(logits, batch.sample_ids)
        probabilities = confidences_of(logits, card.calibration.temperature)
        explained = predictions if params.explained == "prediction" else batch.targets
        for branch, found in grad_cam(session.model, batch, explained, session.device, params.method).items():
            layers[branch] = found.target_layer
            maps += [
                HeatMap(
                    sample_id=batch.sample_ids[i],
                    branch=branch,
                    truth=names[batch.targets[i]],
                    prediction=names[predictions[i]],
                    probability=float(probabilities[i]),
                    explained=names[explained[i]],
                    inside=share_inside(heat, batch.masks[i]),
                    area=float(batch.masks[i].mean()),
                    heat=heat,
                )
                for i, heat in enumerate(found.heat)
            ]
    output.mkdir(parents=True, exist_ok=True)
    write_heat_maps(maps, output / FILE, run=card.run)
    branches = {
        branch: {"features": layer} | describe_heat([entry for entry in maps if entry.branch == branch])
        for branch, layer in layers.items()
    }
    described = {"run": card.run, "method": params.method, "explained": params.explained, "branches": branches}
    text = json.dumps(described | {"conventions": CONVENTIONS}, indent=1, allow_nan=False)
    (output / "summary.json").write_text(text + "\n", encoding="utf-8")
