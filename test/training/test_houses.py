"""Made houses: their plans, what stands in them, and that a seed decides all of it."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from shapely import Point, box
from shapely.ops import unary_union

from training.houses import make_house

SEEDS = range(40)
CARPET_HEIGHT, TALLEST_ROBOT = 0.15, 1.3  # metres: what stands between them blocks, the camera at most 1.2 m up
ROBOT_RADIUS = 0.22  # metres


def obstacle_area(house):
    """What blocks the robot, as shapely sees it: walls, and all furniture between carpets and the robot's top."""
    blocking = [p.footprint for p in house.pieces if p.bottom < TALLEST_ROBOT and p.top > CARPET_HEIGHT]
    return unary_union([box(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *blocking]])


@pytest.mark.parametrize(("seed", "digest"), [(0, "660dbcfc83ae1207"), (10_000_000, "fdd34ac0cccd117f")])
def test_a_seed_gives_the_same_house_on_every_machine(seed, digest):
    house = make_house(seed)
    assert hashlib.sha256(json.dumps(dataclasses.asdict(house)).encode()).hexdigest()[:16] == digest


def test_a_robot_reaches_every_room_of_a_house():
    for seed in SEEDS:
        house = make_house(seed)
        outline = box(house.bounds.x0, house.bounds.y0, house.bounds.x1, house.bounds.y1)
        free = outline.difference(obstacle_area(house).buffer(ROBOT_RADIUS))
        areas = getattr(free, "geoms", [free])
        largest = max(areas, key=lambda area: area.area)
        for room in house.rooms:
            floor = box(room.inner.x0, room.inner.y0, room.inner.x1, room.inner.y1)
            assert largest.intersection(floor).area > 0.1 * floor.area, f"house {seed}: {room.name}"


def test_rooms_tile_the_house_and_have_the_furniture_of_their_kind():
    expected = {"bedroom": "bed", "kitchen": "counter", "bathroom": "toilet", "office": "desk", "living room": "sofa"}
    furnished, complete = [], []
    for seed in SEEDS:
        house = make_house(seed)
        assert 3 <= len(house.rooms) <= 9
        assert sum(room.cell.area for room in house.rooms) == pytest.approx(house.bounds.area)
        standing = [
            [p.name for p in house.pieces if p.room == index and p.bottom == 0] for index in range(len(house.rooms))
        ]
        furnished.append(sum(len(names) >= 3 for names in standing))
        complete += [
            expected[r.name] in names for r, names in zip(house.rooms, standing, strict=True) if r.name in expected
        ]
    assert min(furnished) >= 3
    assert np.mean(complete) > 0.95  # a small room can be too full of doors and windows


def test_furniture_stays_in_its_room_and_apart():
    for seed in SEEDS:
        house = make_house(seed)
        for number, piece in enumerate(house.pieces):
            r, inner = piece.footprint, house.rooms[piece.room].inner
            assert inner.x0 <= r.x0 and inner.y0 <= r.y0 and r.x1 <= inner.x1 and r.y1 <= inner.y1, (seed, piece.name)
            for part in piece.parts:
                assert box(r.x0, r.y0, r.x1, r.y1).buffer(1e-6).covers(box(*part.low[:2], *part.high[:2])), (
                    seed,
                    piece.name,
                )
            for other in house.pieces[number + 1 :]:
                if piece.room == other.room and "carpet" not in (piece.name, other.name):
                    assert not any(intersect(p, q) for p in piece.parts for q in other.parts), (
                        seed,
                        piece.name,
                        other.name,
                    )


def intersect(part, other):
    """Whether the boxes around two parts share more than a side."""
    return all(part.low[axis] < other.high[axis] and other.low[axis] < part.high[axis] for axis in range(3))


def test_the_middle_of_a_door_is_free():
    for seed in SEEDS:
        house = make_house(seed)
        for door in house.doors:
            assert obstacle_area(house).distance(Point(door.centre)) > 0.4, f"house {seed}"
