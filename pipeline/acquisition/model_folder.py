"""Find a model of the package transformers: a folder, or a repository of the Hugging Face hub."""

import re
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from pipeline.acquisition.fingerprint import MODEL_FILES, model_files
from pipeline.acquisition.source import hash_listing
from pipeline.runtime.console import note
from pipeline.runtime.errors import WeightsError, one_line
from pipeline.runtime.hub import TRANSPORT_ERROR, hub_answers
from pipeline.runtime.manifest import sha256_of

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class ModelFolder(NamedTuple):
    """A model on this machine, as transformers saves it."""

    path: Path
    local: bool  # whether the user gave the folder; that of the hub's cache is named after the commit
    name: str  # name of the folder, without folders above; of the hub repository@commit
    files: dict[str, Path]  # settings and tensors by name, no pickle among them

    @property
    def tensors(self) -> list[str]:
        """Names of the files that hold tensors, at least one."""
        return [name for name in self.files if name.endswith(".safetensors")]

    def sha256(self) -> str:
        """Return the SHA-256 of the `sha256sum` listing of these files."""
        return hash_listing((name, sha256_of(self.files[name])) for name in self.tensors)


def find_model(key: str, model: str, revision: str) -> ModelFolder:
    """Return a folder, or that of a repository `owner/name` of the hub, which is fetched into the hub's cache.

    Args:
        key: Place of the model's entry in `params.yaml`, for messages.
        model: Folder or repository.
        revision: Commit or branch of the repository.

    Raises:
        WeightsError: If there is no such folder or repository, the hub cannot be reached, or no file is safetensors.
    """
    path = Path(model).expanduser()
    local, name, wanted = path.is_dir(), path.resolve().name, list(MODEL_FILES)
    if not local:
        if not REPOSITORY.fullmatch(model):
            raise WeightsError(f"{key}.model: {model}: no such folder; give one, or a repository owner/name of the hub")
        offline = not hub_answers()
        try:
            path = Path(snapshot_download(model, revision=revision, allow_patterns=wanted, local_files_only=offline))
        except LocalEntryNotFoundError as error:
            why = f"the hub cannot be reached and {model} ({revision}) is not cached"
            raise WeightsError(f"{why}; fetch it on another machine and set {key}.model to its folder") from error
        except (TRANSPORT_ERROR, OSError) as error:
            fix = "a gated model needs `hf auth login` of who has accepted its licence; or set it to a folder"
            raise WeightsError(f"{key}.model: {model} ({revision}): {one_line(error)}; {fix}") from error
        name = f"{model}@{path.name}"  # the folder of a snapshot is named after its commit
        if revision != path.name:
            note(f"{model} is at {path.name} (set {key}.revision to this commit to pin it)")
    found = ModelFolder(path, local, name, model_files(str(path)))
    if not found.tensors:
        fix = "pickles (.bin, .pt) are not opened: load the model where you trust it and save it by `save_pretrained`"
        raise WeightsError(f"{key}.model: {model}: no file *.safetensors there; {fix}")
    return found
