"""Errors a user of the pipeline can act on: each message says what, where and what to do."""


def printable(text: str) -> str:
    """Return `text` as one line of valid Unicode, with escapes for what names and files may hold beyond that."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class PipelineError(Exception):
    """Base of every error raised on purpose; shown as one line, without a traceback."""

    def __str__(self) -> str:
        """Return the message fit for a terminal: what a hostile file made part of it cannot act there."""
        return printable(super().__str__())


class ParamsError(PipelineError):
    """`params.yaml`, a settings file or a command line asks for something impossible."""


class SourceError(PipelineError):
    """A data source cannot be reached, is not what it should be, or failed its checksum."""


class ArchiveError(PipelineError):
    """An archive is damaged, hostile, locked with another password, or too large."""


class SpaceError(PipelineError):
    """A file system has not the room that a stage needs."""


class DatasetError(PipelineError):
    """Photos, label maps or lists of a data set contradict each other."""


class PhotoError(DatasetError):
    """One photo or label map cannot be decoded."""


class SeveralFoodsError(PhotoError):
    """A mask of one food shows several; whoever asked for one adds how to choose."""


class EmptyMaskError(DatasetError):
    """A mask has no foreground, so it yields no region of interest."""


class ManifestError(PipelineError):
    """A stored file is missing, damaged, or of another version than this code reads."""


class WeightsError(PipelineError):
    """Pre-trained weights are absent, damaged, or do not fit the backbone."""


class ModelError(PipelineError):
    """Backbones cannot be built or joined as asked."""


class TrainingError(PipelineError):
    """Training cannot go on, for instance because a loss is not finite."""


class EvaluationError(PipelineError):
    """A run cannot be judged: it does not fit the samples, or its logits are not finite."""


class ExportError(PipelineError):
    """An exported model or data set is not what it was made from, or cannot be written."""


class BusyError(PipelineError):
    """Another process is at work on the same output."""


class WorkerError(PipelineError):
    """A worker process ended before its work did."""
