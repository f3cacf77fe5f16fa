"""What reading and writing recordings can refuse, and why."""


class BagError(Exception):
    """A recording cannot be read, or a result cannot be written."""


class DamagedRecordingError(BagError):
    """A recording ends in the middle; what came before it was read."""
