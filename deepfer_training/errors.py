"""What can go wrong while training, evaluating or exporting a model."""


class TrainingError(Exception):
    """Base of every error that this package raises on purpose."""


class DatasetError(TrainingError):
    """A data set file is missing, unreadable or does not hold what it should."""


class ConfigError(TrainingError):
    """A training recipe has an unknown field or a value that is not allowed."""


class RunError(TrainingError):
    """A run folder cannot be used: it exists, is damaged or belongs to another recipe."""


class ExportError(TrainingError):
    """A model could not be exported, or the exported file lost too much."""


class ModelFileError(TrainingError):
    """A model file or bundle is missing, damaged, or not what this package can use."""
