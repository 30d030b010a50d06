"""Refuse a value of `params.yaml` by file, line and key, and say how to take it back."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from pipeline.errors import ParamsError
from pipeline.params.base import OTHERWISE, in_words
from pipeline.url_secrets import VARIABLE, holds_secret

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT = "default"
"""Key of a choice's value for whatever it does not name; see `pipeline.params.choices`."""
Key: TypeAlias = Sequence[str | int]
"""Names and places in lists, from the top of the file: `("class_sets", "all", "exclude", 0)`."""
PARAMS = Path("params.yaml")
NO_URL = ("download", "password")
"""The one password that belongs in the file: the release's own, printed in its authors' README."""


def refusal(key: Key | str, problem: str, path: Path = PARAMS) -> ParamsError:
    """Return the error to raise for the value of a key.

    Args:
        key: Key of the value; dots separate the parts of a string.
        problem: What is wrong with it, beginning with the key.
        path: File that holds it.
    """
    parts = key.split(".") if isinstance(key, str) else key
    return ParamsError(f"{place_of_key(parts, path)}: {problem}; {take_back(path)}")


def take_back(path: Path) -> str:
    """Say how a value that `-S` wrote gets out of the file again."""
    return f"an override (-S) stays in the file: correct that line, or `git checkout -- {path}` takes back all edits"


def refusal_of_schema(error: ValidationError, path: Path, above: tuple[str, ...] = ()) -> ParamsError:
    """Return the error for values that do not fit the schema of the file, or of the section `above`.

    What several sections share is written once in the file: its copies are not named.
    """
    file = _read(path)
    found = [((*above, *entry["loc"]), entry) for entry in error.errors()]
    written = [(key, entry) for key, entry in found if _line(key, file)[1]] or found
    by_key: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for key, entry in written:  # of a value that may be of several types, each has an error
        held = key if entry["type"] in OTHERWISE else key[: _held(key, file)]
        by_key.setdefault(held, []).append(entry)
    told = "; ".join(f"{place_of_key(key, path)}: {dotted(key)}: {_problem(key, by_key[key], file)}" for key in by_key)
    return ParamsError(f"{told}; {take_back(path)}")


def place_of_key(key: Key, path: Path) -> str:
    """Return `params.yaml:41`, or the file alone where it does not hold the key."""
    line, _ = _line(key, _read(path))
    return f"{path}:{line}" if line else str(path)


def check_secrets(values: Any, path: Path, key: tuple[str | int, ...] = ()) -> None:
    """Refuse URLs with a secret, wherever they are: settings are stored, shared and shown.

    Raises:
        ParamsError: If a text among `values` holds one; the message does not repeat it.
    """
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in entries:
        if holds_secret(str(name)):
            raise _secret(key, path)
        check_secrets(value, path, (*key, name))
    if isinstance(values, str) and key != NO_URL and holds_secret(values):
        raise _secret(key, path)


def _secret(key: Key, path: Path) -> ParamsError:
    return ParamsError(
        f"{place_of_key(key, path)}: {dotted(key)}: a URL with a password, key or signature would be stored and "
        f"shared; take it out by `git checkout -- {path} && git gc --prune=now`, give the URL without it, and "
        f"the whole URL in the environment: export {VARIABLE}='https://...' (docs/data.md, Secrets)"
    )


def dotted(key: Key) -> str:
    """Return a key as a person writes it."""
    return ".".join(map(str, key)) or "value"


def _problem(key: Key, errors: Sequence["ErrorDetails"], file: Any) -> str:
    match errors[0]["type"]:
        case "extra_forbidden":
            *above, name = key
            close = difflib.get_close_matches(str(name), [n for n in _names(above, file) if n != name], n=1)
            return "no such parameter" + (f" (did you mean {close[0]!r}?)" if close else "")
        case "tuple_type":
            return f"{in_words(errors)}, for instance -S '{dotted(key)}=[{errors[0]['input']}]'"
    return in_words(errors)


def _names(key: Key, file: Any) -> Iterator[str]:
    for part in key:
        file = file[part] if isinstance(file, dict) and part in file else {}
    yield from map(str, file if isinstance(file, dict) else ())


def _read(path: Path) -> Any:
    try:
        return YAML().load(path)
    except (OSError, YAMLError, ValueError, RecursionError):
        return None


def _line(key: Key, file: Any) -> tuple[int | None, bool]:
    """Return the line of the innermost part of a key that the file holds, from 1, and whether it holds all of it."""
    line, node = None, file
    for part in key[: _held(key, file)]:
        if isinstance(node, CommentedMap) and part not in node:
            break  # within a choice
        line = 1 + (node.lc.key(part) if isinstance(node, CommentedMap) else node.lc.item(part))[0]
        node = node[part]
    return line, _held(key, file) == len(key)


def _held(key: Key, file: Any) -> int:
    """Return how many parts of a key the file holds; what lies within a choice counts as held."""
    for number, part in enumerate(key):
        if isinstance(file, CommentedMap) and DEFAULT in file and part not in file:
            return len(key)
        if not (isinstance(file, CommentedMap) and part in file) and not (
            isinstance(file, CommentedSeq) and isinstance(part, int) and part < len(file)
        ):
            return number
        file = file[part]
    return len(key)
