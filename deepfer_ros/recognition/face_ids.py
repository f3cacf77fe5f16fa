"""Give out the ids of faces."""

import itertools
import random
import string

_LETTERS = string.ascii_lowercase
_LENGTH = 5
_COUNT = len(_LETTERS) ** _LENGTH


class FaceIds:
    """A source of ids that are never given twice, for all trackers of a process.

    Ids are five lower-case letters, as REP-155 wants them: short, without meaning, fit for a topic
    name. They run through all 11.9 million combinations in a scrambled order, so that nothing has
    to be remembered to keep them different.

    Args:
        deterministic: Count ("face1", "face2", …) instead.
    """

    def __init__(self, *, deterministic: bool = False) -> None:
        self._deterministic = deterministic
        self._numbers = itertools.count(1)
        # A step that shares no factor with the number of combinations (26 ** 5) meets each once.
        self._step = next(
            step for step in iter(lambda: random.randrange(_COUNT), None) if step % 2 and step % 13
        )
        self._start = random.randrange(_COUNT)

    def new(self) -> str:
        """Return the next id. May be called by several threads."""
        number = next(self._numbers)
        if self._deterministic:
            return f"face{number}"
        number = (self._start + number * self._step) % _COUNT
        letters = []
        for _ in range(_LENGTH):
            number, letter = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[letter])
        return "".join(letters)
