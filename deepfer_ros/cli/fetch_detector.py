"""`deepfer fetch-detector`: the one download, made on request and checked."""

import click


@click.command("fetch-detector")
def fetch_detector() -> None:
    """Fetch YuNet, the best face detector, into the cache.

    It is not part of deepfer. The file comes from OpenCV's model zoo and is checked against its
    known SHA-256; nothing is fetched if it is there already. Nodes never download anything.
    """
    from deepfer_ros.recognition.errors import DetectorError
    from deepfer_ros.recognition.yunet_file import fetch_yunet_file

    try:
        path = fetch_yunet_file()
    except DetectorError as err:
        raise click.ClickException(str(err)) from err
    click.echo(f"YuNet is at {click.format_filename(path)}")
