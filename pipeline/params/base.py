"""The schema every section of `params.yaml` derives from, and how a stage reads its settings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ParamsError

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


class ReadsOutside(Section):
    """Settings of a stage that may read files outside of the checkout."""

    content: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """SHA-256 of what lies at each local path, by key; found by stage `configure`, never given in `params.yaml`."""


SectionT = TypeVar("SectionT", bound=Section)
MOST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""
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
OTHERWISE = {"missing": "is absent", "extra_forbidden": "is not known"}
"""Errors that no value can mend."""


def load_settings(schema: type[SectionT], path: Path) -> SectionT:
    """Return the settings that stage `configure` resolved into `path`.

    Raises:
        ParamsError: If the file is absent or does not fit the schema.
    """
    try:
        return schema.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: absent; run `dvc repro configure` first") from error
    except ValidationError as error:
        raise ParamsError(f"{path}: {describe(error)}; run `dvc repro configure`") from error


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
