"""The labels of the probabilities in messages."""

from deepfer.msg import Emotion


def emotion_labels() -> list[str]:
    """Return the labels in their order, from the constants of `Emotion`."""
    # Message classes have their constants as properties of their metaclass.
    names = [name for name in dir(type(Emotion)) if name.isupper() and not name.startswith("_")]
    constants = {name: getattr(Emotion, name) for name in names}
    constants = {name: value for name, value in constants.items() if isinstance(value, int)}
    return [name.lower() for name in sorted(constants, key=constants.__getitem__)]
