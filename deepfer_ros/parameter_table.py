"""Parameters of a node as a frozen dataclass: one table to declare, check and read them.

@dataclass(frozen=True, slots=True)
class CameraParameters:
    rate_hz: float = parameter(0.0, "Images a second.", limits=(0.0, 1000.0))
"""

import dataclasses
import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.parameter import Parameter

if TYPE_CHECKING:
    from rclpy.node import Node

_T = TypeVar("_T")

_INDENT = " " * 6
# Slower than that, a period is longer than timers of the system can wait.
_LOWEST_RATE_HZ = 0.001

_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts, such as [a, b]",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is known about a parameter beside its name, type and default.

    Attributes:
        description: What it does, for people.
        limits: Smallest and largest value allowed, of a number.
        choices: The values allowed, of a string; empty if any is.
        locked: Whether it can be changed only while the node is unconfigured.
        read_only: Whether it can be set only when the node starts.
        takes_numbers: Whether a whole number is taken as the text that it looks like.
        check: Returns what a value that is otherwise all right must be and is not, or None.
    """

    description: str
    limits: tuple[float, float] | None
    choices: tuple[str, ...]
    locked: bool
    read_only: bool
    takes_numbers: bool
    check: Callable[[Any], str | None]


def parameter(
    default: _T,
    description: str,
    *,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    locked: bool = False,
    read_only: bool = False,
    takes_numbers: bool = False,
    check: Callable[[Any], str | None] = lambda value: None,
) -> _T:
    """Return a dataclass field that carries its own rule; see `_Rule` for the arguments."""
    rule = _Rule(description, limits, choices, locked, read_only, takes_numbers, check)
    return field(default=default, metadata={"rule": rule})


def find_rate_fault(rate_hz: float) -> str | None:
    """Say what a rate must be and is not, where 0 has a meaning of its own."""
    if rate_hz == 0 or rate_hz >= _LOWEST_RATE_HZ:
        return None
    return f"be 0 or at least {_LOWEST_RATE_HZ}, got {rate_hz}"


def declare_parameters(node: "Node", table: type) -> None:
    """Declare every parameter of a table with its default, description and limits."""
    node.declare_parameters(
        "", [(entry.name, entry.default, _descriptor(entry)) for entry in _entries(table)]
    )
    for entry in _entries(table):
        # ROS reads an empty list in a file as no value, and could not read its own dump of that.
        is_empty = _type(entry) is tuple and node.get_parameter(entry.name).value is None
        if is_empty and not _rule(entry).read_only:
            node.set_parameters([Parameter(entry.name, value=entry.default)])


def read_parameters(node: "Node", table: type[_T]) -> _T:
    """Return a snapshot of a node's parameters."""
    return table(
        **{
            entry.name: _convert(entry, node.get_parameter(entry.name).value)
            for entry in _entries(table)
        }
    )


def answer_changes(
    node: "Node", table: type, parameters: Sequence[Parameter], *, configured: bool = False
) -> SetParametersResult:
    """Answer whether parameters may be set like this: what a node calls back for.

    Args:
        node: The node.
        table: The dataclass of its parameters.
        parameters: What is to be set.
        configured: Whether the node is configured, so that locked parameters are in use.
    """
    # Without a value is what deletes a parameter, but in a file it is an empty list.
    deleted = [
        entry.name
        for entry in parameters
        if entry.type_ == Parameter.Type.NOT_SET and node.has_parameter(entry.name)
    ]
    if deleted:
        return SetParametersResult(
            successful=False, reason=f"{deleted[0]} cannot be deleted; set it to another value."
        )
    changes = {entry.name: entry.value for entry in parameters}
    fault = find_fault(table, changes, configured=configured)
    return SetParametersResult(successful=fault is None, reason=fault or "")


def find_fault(table: type, changes: Mapping[str, Any], *, configured: bool = False) -> str | None:
    """Say why parameters must not be changed like this.

    Args:
        table: The dataclass of the parameters.
        changes: New values by name. Names that are not in the table are none of our business.
        configured: Whether the node is configured, so that locked parameters are in use.

    Returns:
        One sentence, or None if the change is all right.
    """
    entries = {entry.name: entry for entry in _entries(table)}
    for name, value in changes.items():
        if name not in entries:
            continue
        fault = _find_value_fault(entries[name], value)
        if fault is None and configured and _rule(entries[name]).locked:
            fault = (
                f"{name} is in use and can be changed only while the node is unconfigured; "
                "deactivate and clean up the node first."
            )
        if fault is not None:
            return fault
    return None


def explain_parameters(table: type) -> str:
    """Return what every parameter is for, its default and what it may be, for the terminal."""
    return "\n".join(
        f"  {entry.name} (default: {json.dumps(entry.default)}{_explain_rule(_rule(entry))})\n"
        + textwrap.fill(
            _rule(entry).description, 79, initial_indent=_INDENT, subsequent_indent=_INDENT
        )
        for entry in _entries(table)
    )


def _explain_rule(rule: _Rule) -> str:
    if rule.choices:
        return f"; one of {', '.join(rule.choices)}"
    return f"; {rule.limits[0]} to {rule.limits[1]}" if rule.limits else ""


def _find_value_fault(entry: "dataclasses.Field[Any]", value: object) -> str | None:
    rule, expected = _rule(entry), _type(entry)
    if not _has_type(value, expected, takes_numbers=rule.takes_numbers):
        return f"{entry.name} must be {_TYPE_NAMES[expected]}, got {value!r}."
    if rule.choices and value not in rule.choices:
        return f"{entry.name} must be one of {', '.join(rule.choices)}, got '{value}'."
    if rule.limits is not None:
        low, high = rule.limits
        number = cast("float", value)
        if not (math.isfinite(number) and low <= number <= high):
            return f"{entry.name} must be from {low} to {high}, got {value}."
    fault = rule.check(_convert(entry, value))
    return fault and f"{entry.name} must {fault}."


def _has_type(value: object, expected: type, *, takes_numbers: bool) -> bool:
    if expected is tuple:
        # ROS reads an empty list in a file as no value at all.
        entries = [] if value is None else value
        return isinstance(entries, list | tuple) and all(isinstance(text, str) for text in entries)
    # A whole number is a fine value for a float: people write 1 for 1.0. A bool is no number.
    allowed = (int, expected) if expected is float or takes_numbers else (expected,)
    return isinstance(value, allowed) and (expected is bool or not isinstance(value, bool))


def _convert(entry: "dataclasses.Field[Any]", value: object) -> object:
    """Return a value of the right type from one that `_has_type`."""
    expected = _type(entry)
    return tuple(cast("list[str]", value or ())) if expected is tuple else expected(value)


def _descriptor(entry: "dataclasses.Field[Any]") -> ParameterDescriptor:
    rule, expected = _rule(entry), _type(entry)
    descriptor = ParameterDescriptor(
        name=entry.name,
        description=rule.description,
        read_only=rule.read_only,
        # Lets a whole number pass where another type is declared, and an empty list, which has
        # another type in ROS; find_fault checks the type.
        dynamic_typing=expected in (float, tuple) or rule.takes_numbers,
    )
    constraints = []
    if rule.choices:
        constraints.append(f"One of {', '.join(rule.choices)}.")
    if rule.locked:
        constraints.append("Can be changed only while the node is unconfigured.")
    descriptor.additional_constraints = " ".join(constraints)
    if rule.limits is not None:
        low, high = rule.limits
        if expected is int:
            descriptor.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=1)
            ]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _entries(table: type) -> "tuple[dataclasses.Field[Any], ...]":
    return dataclasses.fields(table)


def _type(entry: "dataclasses.Field[Any]") -> type:
    return type(entry.default)


def _rule(entry: "dataclasses.Field[Any]") -> _Rule:
    rule = entry.metadata["rule"]
    assert isinstance(rule, _Rule)
    return rule
