"""Poses as the authors' House files have them, and in our world (metres, z up, REP 103).

What the files do not tell are settings: whether positions are metres in 0 to 100 or normalised to -1 to 1, which axis
is up, and from where and in which direction yaw is counted. The last is found from the data: House trajectories look
along their motion. Axes are turned, never mirrored:

    up=y (as in house files)   our (x, y, z) = their (x, -z, y)
    up=z                       our (x, y, z) = their (x, y, z)
    up=x                       our (x, y, z) = their (y, z, x)

Shapes: f frames of a trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np

from training.configuration import UserError, setting

HOUSE_SIZE = 100.0  # metres that the authors' normalisation maps to -1 to 1
TO_Z_UP = {  # rows: our x, y and z from theirs
    "x": np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "y": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "z": np.eye(3, dtype=int),
}
FULLY_MOVING = 0.5  # of a trajectory's usual step: below, it turns on the spot and its motion tells no direction
FEWEST_MOVES = 10
WELL_FITTED = 0.8  # mean cosine between yaw and motion; 1 is perfect, a wrong quarter turn gives 0
CLEAR_LEAD = 0.1  # of that cosine, over counting yaw in the other direction
MOST_RADIANS = 1000.0  # of yaw: 160 full turns


@dataclass(frozen=True)
class YawConfig:
    """How yaw is counted in the files: ours = sign * theirs + offset."""

    sign: Literal["fit", "1", "-1"] = setting("fit", "1 counter-clockwise seen from above, -1 clockwise.")
    offset: float | None = setting(None, "Direction of their yaw 0, degrees counter-clockwise from our x; null: fit.")


@dataclass(frozen=True)
class PoseConvention:
    """How poses of files become ours."""

    normalised: bool
    up: str
    yaw_sign: int
    yaw_offset_degrees: float
    pitch_sign: int

    def to_world(self, poses: np.ndarray) -> np.ndarray:
        """(f, 5) poses as files have them -> (f, 5) float32 in our world, yaw in -pi to pi."""
        world = np.empty((len(poses), 5))
        world[:, :3] = metres(poses[:, :3], self.normalised) @ TO_Z_UP[self.up].T
        yaw = self.yaw_sign * poses[:, 3] + math.radians(self.yaw_offset_degrees)
        world[:, 3] = np.arctan2(np.sin(yaw), np.cos(yaw))
        world[:, 4] = self.pitch_sign * poses[:, 4]
        return world.astype(np.float32)

    def as_json(self) -> dict:
        """The convention as plain values, for a data set's description."""
        return asdict(self)


def metres(positions: np.ndarray, normalised: bool) -> np.ndarray:
    """Positions in metres."""
    return (positions + 1.0) * (HOUSE_SIZE / 2) if normalised else positions


def check_poses(poses: np.ndarray) -> None:
    """Raise ValueError where (f, 5) poses cannot be: not finite, or angles that are no radians."""
    for frame in np.flatnonzero(~np.isfinite(poses).all(axis=1))[:1]:
        raise ValueError(f"the pose of frame {frame} is not finite")
    if np.abs(poses[:, :3]).max(initial=0.0) > 1e6:
        raise ValueError(f"positions up to {np.abs(poses[:, :3]).max():.3g}, expected metres")
    if np.abs(poses[:, 3]).max(initial=0.0) > MOST_RADIANS or np.abs(poses[:, 4]).max(initial=0.0) > math.pi / 2 + 1e-3:
        raise ValueError(
            f"yaw up to {np.abs(poses[:, 3]).max():.3g} and pitch up to {np.abs(poses[:, 4]).max():.3g}, "
            "expected radians, pitch within pi/2"
        )


def is_normalised(positions: Literal["auto", "metres", "normalised"], poses: Iterable[np.ndarray]) -> bool:
    """Whether positions are normalised, as the setting says.

    Raises UserError where the poses contradict it, or, for "auto", could be either.
    """
    farthest = max(np.abs(some[:, :3]).max() for some in poses)
    if positions == "normalised" and farthest > 1.0 + 1e-3:
        raise UserError(f"positions=normalised expects -1 to 1, found up to {farthest:.3g}: set positions=metres")
    if positions == "auto" and farthest <= 1.0 + 1e-3:
        raise UserError(
            "all positions lie within -1 and 1: they look normalised (100 m became -1 to 1); say which they are, "
            "positions=normalised or positions=metres"
        )
    return positions == "normalised"


class YawFit(NamedTuple):
    """How yaw is counted, as the motion tells."""

    sign: int
    offset_degrees: float
    agreement: float  # mean cosine between yaw and the direction of motion
    moves: int  # that it was found from


def fit_yaw(poses: Iterable[np.ndarray], up: str, config: YawConfig) -> YawFit:
    """Sign and offset (a multiple of 90 degrees) with which yaw lies along the motion; what `config` sets is kept.

    poses: (f, 5) arrays of trajectories, as files have them. Raises UserError where the motion does not tell.
    """
    headings, yaws = (np.concatenate(parts) for parts in zip(*(_moves(some, up) for some in poses), strict=True))
    signs = (1, -1) if config.sign == "fit" else (int(config.sign),)
    offsets = (0.0, 90.0, 180.0, 270.0) if config.offset is None else (config.offset,)
    if len(signs) == len(offsets) == 1:
        agreement = float(np.cos(headings - signs[0] * yaws - math.radians(offsets[0])).mean()) if len(yaws) else 0.0
        return YawFit(signs[0], offsets[0], agreement, len(yaws))
    if len(yaws) < FEWEST_MOVES:
        raise UserError(f"only {len(yaws)} moves tell how yaw is counted: say so by yaw.sign= and yaw.offset=")
    fits = []
    for sign in signs:
        difference = headings - sign * yaws
        agreements = [float(np.cos(difference - math.radians(offset)).mean()) for offset in offsets]
        best = int(np.argmax(agreements))
        fits.append(YawFit(sign, offsets[best], agreements[best], len(yaws)))
    fits.sort(key=lambda fit: -fit.agreement)
    if fits[0].agreement < WELL_FITTED or (len(fits) > 1 and fits[0].agreement - fits[1].agreement < CLEAR_LEAD):
        found = " or ".join(f"sign {fit.sign} offset {fit.offset_degrees:g} ({fit.agreement:.2f})" for fit in fits)
        raise UserError(
            f"yaw does not lie clearly along the motion; mean cosine at best: {found}: "
            "say how it is counted by yaw.sign= and yaw.offset=, or look at up="
        )
    return fits[0]


def _moves(poses: np.ndarray, up: str) -> tuple[np.ndarray, np.ndarray]:
    """Directions of motion and yaws of the frames that move, radians."""
    level = (poses[:, :3] @ TO_Z_UP[up].T)[:, :2]
    steps = level[2:] - level[:-2]
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    moving = lengths > max(FULLY_MOVING * np.median(lengths), 1e-9) if len(lengths) else np.zeros(0, bool)
    return np.arctan2(steps[moving, 1], steps[moving, 0]), poses[1:-1, 3][moving]
