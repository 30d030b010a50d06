"""Names are the field's: one class name has one meaning, and metaphors are no names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    str(path.relative_to(ROOT))
    for folder in ("pipeline", "stages", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.stat().st_size
]
LIBRARY = [file for file in SOURCES if not file.startswith("tools/")]

FIELDS_WORDS = """
Learner -> Trainer
judged -> eval_model or evaluated
passes -> micro_batches
Course -> RunData
Witness Watch -> Callback
Pace -> CheckpointCallback
Progress -> TrainerState
Tally -> RunningMetrics
hits -> num_correct
Scored -> LossOutput
weigh -> normalizer
Distilling -> DistillationLoss
told -> with_warning or loss
shown -> loss
Draw -> MicroBatch
split_evenly -> split_batches
Ranks -> DistributedContext
leads -> is_main
of_first -> broadcast
level -> sync_buffers
on_devices -> run_distributed
place_of_work -> work_dir
Grays -> FillValues
RestViews filling -> none
Room -> MemoryBudget
patience -> start_delay
RunPlan -> RunConfig
MadeWith made_with -> RunEnvironment
like -> replace
renew_head -> reset_head
fix_numerics -> set_deterministic
census -> dataset_stats
Numbered -> IndexedSample
Arrived -> RemoteResult
Far -> RemoteWriter
mends -> fixes
lesson lessons -> distillation_job
carry_out -> run_training
conclude -> build_run_card
Verdicts -> EvalOutputs
Wanted -> OutputOptions
Trial -> EvalSession
Entry -> PerturbationSpec
seam -> target_layer
Lens -> none
Question -> CamRequest
wish -> options
judge -> evaluate or predict_batch
written -> format_records
ear -> sock
desk -> handlers
sitting -> session
sit_down -> load_upload
words -> captions
duel duels -> paired_runs
answer answers -> predict or predictions
evidence -> run_predictions
judgement -> error_analysis
Material -> FigureData
claims -> file_lock
closure -> import_closure
lent -> open_local
nearest -> local_or_mirror
unfinished -> resumable_dir
Seat -> Resources
Crew -> ActorPool
Shift -> Scheduler
stillborn -> failed_starts
knock -> probe_port
gone -> is_transient
insist -> verify_sha256
open_source -> create_source
shaken -> jitter_box
stand_in -> fallback_mask
perilous -> triggers_onednn_bug
register -> the width in bits
white -> 255
"""
"""Metaphors that the first version of the code was written in, and the words that replaced them."""
ORDINARY = {
    "draw": "a function draws a chart or a picture",
    "entry": "an entry of an archive, a folder or a mapping",
    "level": "a level of gray, of a confidence, of compression",
    "material": "what an object of the demo is made of",
    "progress": "a progress bar",
    "question": "what a check of the printed numbers asks",
    "register": "a registry has it",
    "room": "room on a disk",
    "shift": "a shift of a picture",
    "shown": "what a figure shows",
    "wanted": "what is looked for, beside what is found",
    "white": "the colour",
}
"""Words that the field has too, in another sense, when they name no class."""
INSTEAD = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower(): better
    for old, better in (line.split(" -> ") for line in FIELDS_WORDS.split("\n") if line)
    for word in old.split()
}


@cache
def tree_of(file: str) -> ast.Module:
    """Parse a file."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def names_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every class, function, method and argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def instead_of(name: str) -> str | None:
    """Return the field's word for a whole name, whatever its case and underscores; None if the name is no metaphor."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip("_")).lower()
    is_class = name.strip("_")[:1].isupper()
    return None if plain in ORDINARY and not is_class else INSTEAD.get(plain)


@pytest.mark.parametrize("file", SOURCES)
def test_names_are_the_fields_terms(file: str) -> None:
    """No net1, utils, helpers or cfg."""
    names = {node.id for node in ast.walk(tree_of(file)) if isinstance(node, ast.Name)}
    assert not names & {"cfg", "net1", "net2", "utils", "helpers"}
    assert Path(file).stem not in {"utils", "helpers", "cfg", "common", "misc"}


def test_no_class_name_stands_twice() -> None:
    """One word has one meaning in the whole of `pipeline/`."""
    classes = [
        node.name
        for file in LIBRARY
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and file.startswith("pipeline/")
    ]
    assert [name for name, times in Counter(classes).items() if times > 1] == []


@pytest.mark.parametrize("file", LIBRARY)
def test_no_name_is_a_metaphor(file: str) -> None:
    """Of a module, a class, a function, a method or an argument; the list says which word is the field's."""
    names = [(1, Path(file).stem), *names_of(tree_of(file))]
    found = [f"{file}:{line}: {name} -> {instead_of(name)}" for line, name in names if instead_of(name)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["Learner", "_Shift", "_judge", "lessons", "place_of_work", "Entry", "RunPlan"])
def test_a_metaphor_is_found_in_any_spelling(name: str) -> None:
    """Private, plural, as a class or as an argument."""
    assert instead_of(name)


@pytest.mark.parametrize("name", ["Trainer", "entry", "judge_photo", "RunConfig", "progress", "__len__"])
def test_other_names_are_free(name: str) -> None:
    """Whole names count, and some words are the field's in another sense."""
    assert instead_of(name) is None


def test_names_of_runs_are_spelled_and_parsed_in_one_file() -> None:
    """No other file joins or splits a name by its signs."""
    spelling = re.compile(r"""\}\+\{|(?:split|partition)\(["'][+]["']\)(?!\[0\] for module)""")
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "pipeline").rglob("*.j2"), *(ROOT / "stages").glob("*.py")]
    found = [str(path.relative_to(ROOT)) for path in files if spelling.search(path.read_text(encoding="utf-8"))]
    assert found == ["pipeline/params/run_name.py"]
