"""README.md of what goes to a hub: a YAML header that machines read, then text for people."""

from typing import Any

from huggingface_hub import DatasetCardData, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.escaping import markdown


def card_text(header: ModelCardData | DatasetCardData, template: str, **values: Any) -> str:
    """Return a card; same header and values, same text.

    Args:
        header: What the hub indexes.
        template: File in `pipeline/export/templates`.
        values: What the template shows.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.export"),
        autoescape=False,  # noqa: S701 - Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share:.1f} %",
        "grouped": "{:,}".format,
        "markdown": markdown,
    }
    return f"---\n{header.to_yaml()}\n---\n\n{environment.get_template(template).render(**values)}"
