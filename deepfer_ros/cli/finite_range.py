"""A range of numbers, as the type of an option."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A `click.FloatRange` without `nan`, which no comparison refuses, and `inf`."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever click has
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """See `click.ParamType.convert`."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
