"""What the recognition core can refuse, and why."""


class RecognitionError(Exception):
    """Base of every error that the core raises on purpose."""


class ImageError(RecognitionError):
    """A picture cannot be read, or its shape, type or size is not allowed."""


class DetectorError(RecognitionError):
    """A face detector is not available or its model file cannot be used."""


class ModelError(RecognitionError):
    """A model bundle or model file is missing, damaged or does not fit its description."""
