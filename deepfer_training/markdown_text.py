"""Pieces of Markdown: tables, filled paragraphs, percentages."""

import textwrap
from collections.abc import Iterable


def make_table(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table, with a line break at its end."""
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def fill_paragraph(text: str) -> str:
    """Break text into lines of at most 99 characters."""
    # A number and its unit stay on one line: textwrap breaks at ordinary blanks only.
    filled = textwrap.fill(
        text.replace(" %", "\u00a0%"), width=99, break_long_words=False, break_on_hyphens=False
    )
    return filled.replace("\u00a0", " ")


def format_percent(share: float | None, digits: int = 1) -> str:
    """Return a share of 1 as a percentage, or a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"
