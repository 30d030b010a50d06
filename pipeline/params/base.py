"""The schema every section of `params.yaml` derives from, and how a stage reads its settings."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from pipeline.params.run_name import RUN_NAME
from pipeline.runtime.errors import URLS_VARIABLE, ManifestError, ParamsError, PipelineError, holds_secret

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"{name!a} has characters that cannot be printed")
    return name


Name: TypeAlias = Annotated[str, AfterValidator(_printable)]
"""Name of a category: one line that drives no terminal and that every file format holds."""


class Section(BaseModel):
    """Base of every section: immutable, strict, no unknown keys, finite numbers, documented fields."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def write(self, path: Path) -> None:
        """Write the values as JSON; equal values, equal bytes."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def omit_default(default: Any, **limits: Any) -> Any:
    """Return a field that a file holds only where it differs from its default, so that older files stay as they are."""
    return Field(default=default, exclude_if=lambda value: value == default, **limits)


class ReadsOutside(Section):
    """Settings of a stage that may read files outside of the checkout."""

    content: dict[str, str] = omit_default({})  # SHA-256 by key of what lies at local paths; `configure` finds it


RecordT = TypeVar("RecordT", bound=BaseModel)
GRAPH = Path("dvc.yaml")
OF_SOURCES = frozenset({"mask_weights", "segment", "pair", "agreement", "transfer"})
"""Stages of a mask source, which the graph has only where `masks.eval` or `masks.train` names it, or for annotation."""
PARAMS = Path("params.yaml")
DEFAULT = "default"  # key of a choice's value for whatever it does not name; see `pipeline.params.study`
Key: TypeAlias = Sequence[str | int]  # names and places in lists, from the top: `("class_sets", "all", "exclude", 0)`
NO_URL = ("download", "password")  # the one password that belongs in the file: the release's, of its authors' README
MOST_SHOWN = 60  # characters of a wrong value that a message repeats
MAPPING = "names, each with its value"
ALLOWED = {
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_pattern_mismatch": "text of the form {pattern}",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "dict_type": MAPPING,
    "model_type": MAPPING,
}
"""What a key takes, by pydantic's name of the error."""
OTHERWISE = {"missing": "is absent", "extra_forbidden": "is not known"}  # errors that no value can mend


def read_record(
    schema: type[RecordT],
    path: Path,
    stage: str | None,
    *,
    error: type[PipelineError] = ManifestError,
    otherwise: str = "",
) -> RecordT:
    """Read one JSON record.

    Args:
        schema: What the file holds.
        path: File to read.
        stage: Stage that writes it, as `dvc repro` takes it; None where the folder is no stage's.
        error: Raised if the file is absent or does not fit the schema.
        otherwise: What to do about it where there is no stage.

    Raises:
        PipelineError: The `error`.
    """
    try:
        return schema.model_validate_json(path.read_bytes())
    except FileNotFoundError as absent:
        raise error(f"{path}: absent; {f'run {dvc_command(stage)}' if stage else otherwise}") from absent
    except ValidationError as damage:
        fix = f"run {dvc_command(stage, again=True)}" if stage else otherwise
        raise error(f"{path}: damaged ({describe(damage)}); {fix}") from damage


def load_settings(schema: type[RecordT], path: Path) -> RecordT:
    """Return the settings that stage `configure` resolved into `path`; a ParamsError if it is absent or damaged."""
    return read_record(schema, path, "configure", error=ParamsError)


def describe(error: ValidationError) -> str:
    """Say in one line and in plain words which keys are wrong and why."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {in_words([e])}" for e in error.errors())


def in_words(errors: Sequence["ErrorDetails"]) -> str:
    """Say what was given for one key and what is allowed, each of which an error rules out."""
    kinds = [(error["type"], error.get("ctx", {})) for error in errors]
    allowed = [ALLOWED[kind].format(**context) for kind, context in kinds if kind in ALLOWED]
    if allowed:
        given = json.dumps(errors[0]["input"], ensure_ascii=False, default=str)
        return f"{given[:MOST_SHOWN]} is given, allowed is {' or '.join(dict.fromkeys(allowed))}"
    return "; ".join(OTHERWISE.get(e["type"], e["msg"].removeprefix("Value error, ")) for e in errors)


def dvc_command(stage: str, *, again: bool = False) -> str:
    """Return the command that runs a stage, of any run or mask source; `again` runs it although DVC has a result."""
    force, (name, _, item) = "-f " * again, stage.partition("@")
    run = RUN_NAME.fullmatch(item)
    # The graph has a run's stage if `foreach` names the run; `explain` has fewer runs than `train`.
    if run and GRAPH.is_file() and item not in YAML(typ="safe").load(GRAPH)["stages"].get(name, {}).get("foreach", ()):
        roi, extra_roi, classes = run.groups()
        return f"`dvc exp run {force}-S roi={roi} -S extra_roi={extra_roi} -S classes={classes} {stage}`"
    if name in OF_SOURCES and item not in {"", "annotation"}:
        return f"`dvc exp run {force}-S masks.eval={item} {stage}`"
    return f"`dvc repro {force}{stage}`"


def refusal(key: Key | str, problem: str, path: Path = PARAMS) -> ParamsError:
    """Return the error for the value of a key, whose parts dots separate; the problem begins with the key."""
    return ParamsError(
        f"{place_of_key(key.split('.') if isinstance(key, str) else key, path)}: {problem}; {take_back(path)}"
    )


def take_back(path: Path) -> str:
    """Say how a value that `-S` wrote gets out of the file again."""
    return f"an override (-S) stays in the file: correct that line, or `git checkout -- {path}` takes back all edits"


def refusal_of_schema(error: ValidationError, path: Path, above: tuple[str, ...] = ()) -> ParamsError:
    """Return the error for values that do not fit the schema of the file, or of the section `above`.

    What several sections share is written once in the file: its copies are not named.
    """
    file = _read(path)
    found = [((*above, *entry["loc"]), entry) for entry in error.errors()]
    written = [(key, entry) for key, entry in found if _find(key, file)[1] == len(key)] or found
    by_key: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for key, entry in written:  # of a value that may be of several types, each has an error
        held = key if entry["type"] in OTHERWISE else key[: _find(key, file)[1]]
        by_key.setdefault(held, []).append(entry)
    told = "; ".join(f"{place_of_key(key, path)}: {dotted(key)}: {_problem(key, by_key[key], file)}" for key in by_key)
    return ParamsError(f"{told}; {take_back(path)}")


def place_of_key(key: Key, path: Path) -> str:
    """Return `params.yaml:41`, or the file alone where it does not hold the key."""
    line, _ = _find(key, _read(path))
    return f"{path}:{line}" if line else str(path)


def check_secrets(values: Any, path: Path, key: tuple[str | int, ...] = ()) -> None:
    """Refuse URLs with a secret, wherever they are: settings are stored, shared and shown.

    Raises:
        ParamsError: If a text among `values` holds one; the message does not repeat it.
    """
    entries = values if isinstance(values, dict) else dict(enumerate(values)) if isinstance(values, list) else {}
    given = values if isinstance(values, str) and key != NO_URL else ""
    if any(map(holds_secret, (given, *map(str, entries)))):
        raise ParamsError(
            f"{place_of_key(key, path)}: {dotted(key)}: a URL with a password, key or signature would be stored and "
            f"shared; take it out by `git checkout -- {path} && git gc --prune=now`, give the URL without it, and "
            f"the whole URL in the environment: export {URLS_VARIABLE}='https://...' (docs/data.md, Secrets)"
        )
    for name, value in entries.items():
        check_secrets(value, path, (*key, name))


def dotted(key: Key) -> str:
    """Return a key as a person writes it."""
    return ".".join(map(str, key)) or "value"


def _problem(key: Key, errors: Sequence["ErrorDetails"], file: Any) -> str:
    match errors[0]["type"]:
        case "extra_forbidden":
            *above, name = key
            for part in above:
                file = file[part] if isinstance(file, dict) and part in file else {}
            names = [str(each) for each in file if each != name] if isinstance(file, dict) else []
            close = difflib.get_close_matches(str(name), names, n=1)
            return "no such parameter" + (f" (did you mean {close[0]!r}?)" if close else "")
        case "tuple_type":
            return f"{in_words(errors)}, for instance -S '{dotted(key)}=[{errors[0]['input']}]'"
    return in_words(errors)


def _read(path: Path) -> Any:
    try:
        return YAML().load(path)
    except (OSError, YAMLError, ValueError, RecursionError):
        return None


def _find(key: Key, file: Any) -> tuple[int | None, int]:
    """Return the line of the innermost part of a key that the file holds, from 1, and how many parts it holds.

    What lies within a choice counts as held.
    """
    line = None
    for number, part in enumerate(key):
        if isinstance(file, CommentedMap) and part in file:
            line = 1 + file.lc.key(part)[0]
        elif isinstance(file, CommentedSeq) and isinstance(part, int) and part < len(file):
            line = 1 + file.lc.item(part)[0]
        else:
            return line, len(key) if isinstance(file, CommentedMap) and DEFAULT in file else number
        file = file[part]
    return line, len(key)
