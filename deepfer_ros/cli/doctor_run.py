"""Run all checks of `deepfer doctor` and print the report."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepfer_ros.cli.doctor_finding import MISSING, OK, OPTIONAL, PROBLEM, Finding
from deepfer_ros.cli.doctor_probes import PROBES

_TIMEOUT_S = 60.0
_STYLES = {OK: "green", OPTIONAL: "yellow", PROBLEM: "bold red", MISSING: "bold red"}


def run_doctor(*, as_json: bool) -> None:
    """Check everything and print what was found.

    Raises:
        click.exceptions.Exit: With status 1 if something needed is missing or does not work.
    """
    console = Console()
    waiting = (
        console.status("Checking the installation")
        if console.is_terminal and not as_json
        else contextlib.nullcontext()
    )
    with waiting, ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        findings = dict(zip(PROBES, pool.map(run_probe, PROBES), strict=True))
    is_complete = all(finding.status in (OK, OPTIONAL) for finding in findings.values())
    if as_json:
        click.echo(_to_json(findings, is_complete))
    else:
        _print_table(findings, console)
        console.print(
            "Everything that is needed is there and works."
            if is_complete
            else "Something that is needed is missing or does not work; see above."
        )
    if not is_complete:
        raise click.exceptions.Exit(1)


def run_probe(name: str) -> Finding:
    """Run one check in a process of its own, and make a finding of whatever comes out."""
    advice = PROBES[name][1]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "deepfer_ros.cli.doctor_probes", name],
            env=os.environ | {"PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(MISSING, f"the check took more than {_TIMEOUT_S:g} s", advice)
    except OSError as err:
        return Finding(MISSING, f"Python cannot be started: {err}", advice)
    # Libraries may write to standard output, too.
    reports = [line for line in done.stdout.splitlines() if line.startswith('{"status"')]
    if done.returncode == 0 and reports:
        return Finding(**json.loads(reports[-1]))
    if done.returncode < 0:
        return Finding(MISSING, f"crashed with {_signal_name(-done.returncode)}", advice)
    lines = done.stderr.strip().splitlines()
    return Finding(MISSING, lines[-1] if lines else "failed without a word", advice)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _to_json(findings: dict[str, Finding], is_complete: bool) -> str:
    checks = [{"name": name, **asdict(finding)} for name, finding in findings.items()]
    return json.dumps({"ok": is_complete, "checks": checks})


def _print_table(findings: dict[str, Finding], console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, finding in findings.items():
        text = Text(finding.detail)
        if finding.advice:
            text.append(f"\n{finding.advice}", style="dim")
        table.add_row(name, Text(finding.status, style=_STYLES[finding.status]), text)
    console.print(table, highlight=False)
