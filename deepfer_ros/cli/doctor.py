"""`deepfer doctor`: what is installed, what is missing, what to do."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def doctor(as_json: bool) -> None:
    """Check the installation, and what runs.

    Says what is there, what is missing, what does not work and what to do.
    The exit status is 1 if something is missing that the nodes need, or does not work.
    """
    from deepfer_ros.cli.doctor_run import run_doctor

    run_doctor(as_json=as_json)
