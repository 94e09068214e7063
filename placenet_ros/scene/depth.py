"""Depth as it is stored and sent: whole millimetres in 16 bits, as ROS's 16UC1 (REP 118)."""

from __future__ import annotations

import numpy as np

MILLIMETRES = 1000.0  # in a metre


def millimetres(metres: np.ndarray) -> np.ndarray:
    """Depth in metres (float) as uint16 millimetres; what is negative, beyond 65 m or not finite becomes 0, none."""
    rounded = np.round(metres * MILLIMETRES)
    return np.where((rounded > 0) & (rounded <= np.iinfo(np.uint16).max), rounded, 0).astype(np.uint16)


def metres(millimetres: np.ndarray) -> np.ndarray:
    """Depth in millimetres as float32 metres."""
    return (millimetres / MILLIMETRES).astype(np.float32)
