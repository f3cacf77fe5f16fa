"""What can go wrong while measuring."""


class BenchError(Exception):
    """Something could not be measured; the text says what and why."""
