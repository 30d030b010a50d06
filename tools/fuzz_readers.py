"""Coverage-guided fuzzing of the readers of files: `python -m tools.fuzz_readers TARGET [options]`.

Targets: `pictures` are bytes given to the decoders of photos and label maps. `masks` and `shards` are bytes given as a
Parquet file whose hash the manifest confirms, as a forger would; `rows` are Parquet files of sound columns with any
values; `hashes` are any bytes under the manifest of the sound file, which must refuse all but that very file. Whatever
ends in another way than a result or a `PipelineError` is a finding. Options are libFuzzer's, for instance
`-max_total_time=3600`; findings are written to the working folder as `crash-*` or `timeout-*` and
reproduced by naming such a file; a process that was stopped for a minute leaves a `timeout-*` that is none.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from collections.abc import Callable

with atheris.instrument_imports(include=["pipeline", "PIL"]):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.datasets.masks import SCHEMA, Masks, StoredMask, write_mask_file
    from pipeline.datasets.sample_batch import SampleBatch
    from pipeline.datasets.shards import Shards, schema_for, write_shard
    from pipeline.imaging.decode import read_label_map, read_photo
    from pipeline.runtime.errors import PipelineError
    from pipeline.runtime.manifest import FileEntry, Manifest, sha256_of, write_manifest

SIZE, NAME, ROWS = 4, "test-00000.parquet", 2
"""Side of the cut-outs, and name and rows of the one file, of the folders that are read."""


class Fuzzer:
    """Folders that hold one file each, which every try replaces."""

    def __init__(self, work: Path) -> None:
        """Write a sound file of either kind."""
        self.work = work
        mask = StoredMask.of(np.eye(SIZE, dtype=np.bool_), sample_id="test/a/1", score=1.0, status="ok", prompts=None)
        batch = SampleBatch.empty(("test/a/1", "test/a/2"), size=SIZE)
        for array in (batch.targets, batch.masks, batch.roi, batch.extra_roi):
            array[:] = 0
        batch.rects[:] = [0, 0, SIZE, SIZE]
        for kind in ("masks", "shards"):
            (work / kind).mkdir()
        write_mask_file([mask] * ROWS, work / "masks" / NAME, {})
        write_shard(batch, work / "shards" / NAME, {})
        self.sound = {kind: (work / kind / NAME).read_bytes() for kind in ("masks", "shards")}
        for kind in self.sound:
            self.confirm(kind)

    def confirm(self, kind: str) -> None:
        """Write the manifest of the file as it is."""
        entry = FileEntry(name=NAME, split="test", rows=ROWS, sha256=sha256_of(self.work / kind / NAME))
        manifest = Manifest(
            kind=kind,
            schema_version=1,
            source="annotation",
            image_size=SIZE if kind == "shards" else 0,
            categories=("bread",),
            settings_sha256="0" * 64,
            files=(entry,),
        )
        write_manifest(manifest, self.work / kind)

    def read(self, kind: str) -> None:
        """Read a folder as the stages do."""
        if kind == "masks":
            for mask in Masks(self.work / kind).locate("test", 0, ROWS).read(self.work / kind):
                mask.full()
        else:
            Shards(self.work / kind).read("test")

    def forged(self, kind: str, data: bytes) -> None:
        """Read bytes that the manifest confirms."""
        (self.work / kind / NAME).write_bytes(data)
        self.confirm(kind)
        try:
            self.read(kind)
        except PipelineError:
            return

    def masks(self, data: bytes) -> None:
        """Read bytes as masks."""
        self.forged("masks", data)

    def shards(self, data: bytes) -> None:
        """Read bytes as shards."""
        self.forged("shards", data)

    def hashes(self, data: bytes) -> None:
        """See to it that bytes under another file's hash are refused."""
        for kind in ("masks", "shards"):
            (self.work / kind / NAME).write_bytes(data)
            try:
                self.read(kind)
            except PipelineError:
                continue
            if data != self.sound[kind]:
                raise AssertionError(f"{kind}: bytes of another hash were read")

    def rows(self, data: bytes) -> None:
        """Read sound columns of any values."""
        draw = atheris.FuzzedDataProvider(data)
        kind, schema = ("masks", SCHEMA) if draw.ConsumeBool() else ("shards", schema_for(SIZE))
        columns = [pa.array([_value(field.type, draw) for _ in range(ROWS)], field.type) for field in schema]
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), self.work / "table")
        self.forged(kind, (self.work / "table").read_bytes())

    def pictures(self, data: bytes) -> None:
        """Decode bytes as photo and as label map."""
        path = self.work / "picture"
        path.write_bytes(data)
        for read in (read_photo, read_label_map):
            try:
                read(path)
            except PipelineError:
                continue


def _value(kind: pa.DataType, draw: "atheris.FuzzedDataProvider") -> object:
    """Draw a value of a column, or none."""
    if draw.ConsumeIntInRange(0, 15) == 0:
        return None
    if pa.types.is_integer(kind):
        bits = kind.bit_width - 1
        return draw.ConsumeIntInRange(-8, 8) if draw.ConsumeBool() else draw.ConsumeIntInRange(-(2**bits), 2**bits - 1)
    if pa.types.is_fixed_size_list(kind):
        return [draw.ConsumeIntInRange(-1, SIZE + 1) for _ in range(kind.list_size)]
    if pa.types.is_fixed_size_binary(kind):
        return draw.ConsumeBytes(kind.byte_width).ljust(kind.byte_width, b"\0")
    if pa.types.is_binary(kind):
        return draw.ConsumeBytes(draw.ConsumeIntInRange(0, 9))
    return draw.ConsumeUnicodeNoSurrogates(9) if pa.types.is_string(kind) else draw.ConsumeFloat()


def seeds(fuzzer: Fuzzer, target: str, corpus: Path) -> None:
    """Write inputs to begin with: the sound files, or one picture of every format."""
    corpus.mkdir(parents=True, exist_ok=True)
    if target == "pictures":
        from PIL import Image  # noqa: PLC0415 - needed for this target alone

        pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        for ending in ("png", "jpg", "webp", "tiff", "bmp", "gif", "ppm", "jp2", "avif"):
            Image.fromarray(pixels).save(corpus / f"seed.{ending}")
            Image.fromarray(pixels[..., 0]).save(corpus / f"gray.{ending}")
    else:
        for kind, sound in fuzzer.sound.items():
            (corpus / kind).write_bytes(sound)


def main() -> None:
    """Fuzz one target until a finding, or as long as the options say."""
    _, target, *options = sys.argv
    fuzzer = Fuzzer(Path(mkdtemp(prefix="fuzz-")))
    tries: dict[str, Callable[[bytes], None]] = {
        name: getattr(fuzzer, name) for name in ("pictures", "masks", "shards", "rows", "hashes")
    }
    if not any(Path(option).is_file() for option in options):
        seeds(fuzzer, target, Path(f"fuzz-{target}"))
        options.append(f"fuzz-{target}")
    atheris.Setup([f"fuzz {target}", "-rss_limit_mb=3000", "-timeout=60", "-len_control=0", *options], tries[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
