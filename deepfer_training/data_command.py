"""`deepfer data`: what is in a data set, and what is wrong with it."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepfer_training.data_report import DataReport, Finding, inspect_source
from deepfer_training.dataset_cache import load_source
from deepfer_training.errors import DatasetError
from deepfer_training.face_sources import SOURCE_HELP
from deepfer_training.fer2013 import LABELS

_FILE = click.Path(path_type=Path)
_MOST_SIZES = 5


@click.command(
    help=f"""Count the pictures of data sets and look for what spoils them.

    FILE is {SOURCE_HELP}.

    Tells the pictures of each class and split, copies (also across splits and with different
    labels), pictures that show nothing, and sizes other than 48x48. A file that is wrong is
    reported with the row and what was expected; the others go on, and the exit status is 1.
    """
)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=_FILE)
@click.option("--ferplus", type=_FILE, help="FER+ votes for all FILEs: fer2013new.csv.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line for each FILE."
)
def data(paths: tuple[Path, ...], ferplus: Path | None, as_json: bool) -> None:
    """Count the pictures of data sets and look for what spoils them."""
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    failed = False
    for path in paths:
        try:
            with errors.status(_text(f"Reading {path} …")):
                report = inspect_source(load_source(path, ferplus))
        except DatasetError as err:
            failed = True
            if as_json:
                click.echo(json.dumps({"path": str(path), "error": str(err)}))
            else:
                click.echo(f"Error: {_printable(str(err))}", err=True)
            continue
        if as_json:
            click.echo(json.dumps(report.to_json()))
        else:
            _print(report, console)
    if failed:
        raise click.exceptions.Exit(1)


def _print(report: DataReport, console: Console) -> None:
    console.print(_text(f"{report.path}: {report.images} pictures"), style="bold", soft_wrap=True)
    for note in report.notes:
        console.print(_text(note), soft_wrap=True)
    console.print(_counts("By label", report.counts))
    if report.majority is not None:
        console.print(_counts("By FER+ majority", report.majority))
    for split, ceiling in (report.ceiling or {}).items():
        console.print(
            f"Ten other voters would have the same majority for at most "
            f"{100 * ceiling.majority:.1f} % of {split} (strict majority: "
            f"{100 * ceiling.strict_majority:.1f} %)",
            soft_wrap=True,
        )
    duplicates = report.duplicates
    _print_finding(console, "copies of another picture", duplicates.extra)
    _print_finding(console, "copies in another split", duplicates.across_splits)
    _print_finding(console, "copies with another label", duplicates.other_labels)
    _print_finding(console, "blank pictures", report.blank)
    _print_finding(console, "pictures that are not 48x48", report.wrong_sizes)
    if report.wrong_sizes.count:
        sizes = [f"{count} of {size}" for size, count in report.sizes.items()]
        more = f", and {len(sizes) - _MOST_SIZES} other sizes" if len(sizes) > _MOST_SIZES else ""
        console.print(f"  sizes: {', '.join(sizes[:_MOST_SIZES])}{more}", soft_wrap=True)


def _counts(title: str, counts: dict[str, dict[str, int]]) -> Table:
    table = Table("class", title=title, title_justify="left")
    names = [*LABELS, *(["none"] if any("none" in row for row in counts.values()) else [])]
    for split in (*counts, "all"):
        table.add_column(split, justify="right")
    for name in names:
        row = [counts[split].get(name, 0) for split in counts]
        table.add_row(name, *map(str, row), str(sum(row)))
    totals = [sum(counts[split].values()) for split in counts]
    table.add_section()
    table.add_row("all", *map(str, totals), str(sum(totals)), style="bold")
    return table


def _print_finding(console: Console, what: str, finding: Finding) -> None:
    console.print(f"{finding.count} {what}", style="yellow" if finding.count else "")
    for example in finding.examples:
        console.print(_text(f"  {example}"), soft_wrap=True, style="dim")


def _text(text: str) -> Text:
    """Return text in which square brackets, which a path may have, are no markup."""
    return Text(_printable(text))


def _printable(text: str) -> str:
    r"""Return text with what is not UTF-8 in the names of files as \udcXX."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
