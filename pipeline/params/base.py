"""The schema every section of `params.yaml` derives from, and how a stage reads its settings."""

from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ParamsError


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
    """Say in one line which keys are wrong and why, without pydantic's links."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())
