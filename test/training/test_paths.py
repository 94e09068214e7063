"""Paths through made houses."""

import hashlib

import numpy as np
import pytest
from shapely import LineString, box
from shapely.ops import unary_union

from training.houses import make_house, make_path
from training.houses.path import CARPET_HEIGHT, ROBOT_HEIGHT, ROBOT_RADIUS

SEEDS = range(40)


def obstacle_area(house, camera_height=0.4):
    """What blocks the robot, as shapely sees it: walls, and all furniture between carpets and the camera's top."""
    top = max(ROBOT_HEIGHT, camera_height)
    blocking = [piece.footprint for piece in house.pieces if piece.bottom < top and piece.top > CARPET_HEIGHT]
    return unary_union([box(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *blocking]])


@pytest.mark.parametrize(("seed", "digest"), [(0, "e9fb696c7663c142"), (10_000_000, "3d1b0290640294f4")])
def test_a_seed_gives_the_same_path_on_every_machine(seed, digest):
    path = make_path(make_house(seed), seed)
    assert hashlib.sha256(path.astype("<f4").tobytes()).hexdigest()[:16] == digest


def test_a_path_keeps_its_distance_from_walls_and_furniture():
    for seed in SEEDS:
        house = make_house(seed)
        poses = make_path(house, seed)
        line = LineString(poses[:, :2].astype(float))
        assert line.distance(obstacle_area(house, poses[0, 2])) >= ROBOT_RADIUS, f"house {seed}"


def test_a_path_is_a_walk_through_rooms_without_jumps():
    for seed in SEEDS:
        house = make_house(seed)
        poses = make_path(house, seed).astype(float)
        steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
        turns = np.degrees(np.abs((np.diff(poses[:, 3]) + np.pi) % (2 * np.pi) - np.pi))
        assert poses.shape == (300, 5)
        assert steps.max() <= 0.2 + 1e-3 and np.median(steps) > 0.1
        assert turns.max() <= 15.0 + 0.1
        assert 0.4 <= poses[0, 2] <= 1.2 and -15 <= np.degrees(poses[0, 4]) <= 5
        assert np.ptp(poses[:, [2, 4]], axis=0).max() == 0
        assert len({house.room_at(x, y) for x, y in poses[:, :2]}) >= 3, f"house {seed}"


def test_a_robot_looks_where_it_goes():
    poses = make_path(make_house(3), 3).astype(float)
    motion = np.diff(poses[:, :2], axis=0)
    ahead = np.stack([np.cos(poses[:-1, 3]), np.sin(poses[:-1, 3])], axis=1)
    straight = np.hypot(*motion.T) > 0.19
    assert straight.sum() > 50
    assert ((motion * ahead).sum(axis=1)[straight] > 0.17).all()
