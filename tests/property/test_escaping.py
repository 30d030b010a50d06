"""Names as text in every language they are shown in, over all of Unicode."""

import csv
import io
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.datasets.layout import number_categories, parse_category_names
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.escaping import from_spreadsheet, latex, markdown, printable_json, spreadsheet

ANY = st.text(st.characters())
SPECIAL = st.text(st.sampled_from("\\`*_{}[]()<>#+-.!|~&$%^=:@'\"/ waw\t1"), max_size=12)
NAMES = (SPECIAL | ANY).map(lambda text: " ".join("".join(c for c in text if c.isprintable()).split()))
"""What is left of text that `index` lets through."""
COMMONMARK = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shown(document: str) -> str:
    """Return what a reader of Markdown sees of a document, which must hold no element but one paragraph or table."""
    tokens = COMMONMARK.parse(document)
    inline = [token for token in tokens if token.type == "inline"]
    texts = {child.type for token in inline for child in token.children or ()}
    assert texts <= {"text", "text_special"}
    return "\n".join("".join(child.content for child in token.children or ()) for token in inline)


@example("a\\b")
@example("$^$")
@example("<script>alert(1)</script>")
@example("![x](http://a.b/c.png)")
@example("a|b")
@given(NAMES.filter(bool))
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    """In a line and in a cell: no emphasis, link, picture, HTML or further column, for a parser of CommonMark."""
    assert shown(f"Name: {markdown(name)}.") == f"Name: {name}."
    table = shown(f"| head |\n|---|\n| {markdown(name)} |\n")
    assert table.split("\n") == ["head", name]


@given(NAMES)
def test_markdown_has_no_bare_address(name: str) -> None:
    """Which GitHub and the hub turn into links, other than CommonMark."""
    assert not re.search(r"(?i)(?<!\\)://|www\.", markdown(name).replace("\\\\", ""))


TEX = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"} | {
    f"\\{c}": c for c in "&%$#_{}"
}


@example("\\end{document}")
@example("[2]")
@given(NAMES)
def test_latex_has_no_command_of_a_name(name: str) -> None:
    """Taken apart into the escapes of LaTeX and plain letters, it is the name: no special character is left."""
    text = latex(name).removeprefix("{}") if name[:1] in {"[", "*"} else latex(name)
    assert not latex(name).startswith(("[", "*"))
    parts = re.findall("|".join(map(re.escape, sorted(TEX, key=len, reverse=True))) + r"|[^\\&%$#_{}~^]", text)
    assert "".join(parts) == text
    assert "".join(TEX.get(part, part) for part in parts) == name


@example("=cmd|'/C calc'!A0")
@example("'=1")
@example("''''+1")
@given(SPECIAL | ANY)
def test_no_cell_is_a_formula_and_none_is_lost(text: str) -> None:
    """Also after it went through a file; numbers are left alone, negative ones too."""
    cell = spreadsheet(text)
    assert len(cell) == 1 or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_spreadsheet(cell) == text
    assert spreadsheet(-1.5) == -1.5
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell])
    if "\0" not in text:
        (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
        assert from_spreadsheet(row[0] if row else "") == text


@given(st.dictionaries(ANY, ANY))
def test_printed_json_drives_no_terminal(value: dict[str, str]) -> None:
    """It is one printable line, and says the same."""
    line = printable_json(value)
    assert line.isprintable()
    assert json.loads(line) == value


@given(st.text(st.characters()))
def test_names_that_cannot_be_printed_are_refused(name: str) -> None:
    """In the file of categories and as an extra category: what passes is one printable line."""
    try:
        names = parse_category_names(f"1 {name}")
        assert all(found.isprintable() for found in names.values())
    except ValueError:
        pass
    try:
        categories = number_categories({0: "background"}, {name})
        assert all(category.name.isprintable() for category in categories)
    except DatasetError:
        pass
