"""Tensors in tuples, named tuples and dataclasses within one another, such as a batch: all of them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor


def mapped(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """A tuple, NamedTuple or dataclass of tensors, nested or None, with `function` applied to each tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if dataclasses.is_dataclass(value):
        return type(value)(*(mapped(getattr(value, field.name), function) for field in dataclasses.fields(value)))
    if isinstance(value, tuple):
        items = [mapped(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if value is None:
        return None
    raise TypeError(f"expected tensors, found {type(value).__name__}")


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of a nested value, in order."""
    found: list[Tensor] = []
    mapped(value, found.append)
    return found


def form_of(value: Any) -> Hashable:
    """Which tensors a nested value has, and of what sizes and types: equal for what one recording can serve."""
    forms: list[Hashable] = []

    def visit(item: Any) -> None:
        if isinstance(item, Tensor):
            forms.append((tuple(item.shape), item.dtype))
        elif dataclasses.is_dataclass(item):
            for field in dataclasses.fields(item):
                visit(getattr(item, field.name))
        elif isinstance(item, tuple):
            for entry in item:
                visit(entry)
        else:
            forms.append(item)

    visit(value)
    return tuple(forms)
