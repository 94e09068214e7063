"""Made houses, the paths through them and the pictures of them."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import moderngl
import numpy as np
import pytest
from shapely import LineString, Point, box
from shapely.ops import unary_union

from training.houses import CLASS_NAMES, GraphicsError, HousePictures, make_house, make_path, make_trajectories
from training.houses import pictures as pictures_module
from training.houses.mesh import build_mesh
from training.houses.path import CARPET_HEIGHT, ROBOT_HEIGHT, ROBOT_RADIUS

SEEDS = range(40)


def obstacle_area(house, camera_height=0.4):
    """What blocks the robot, as shapely sees it: walls, and all furniture between carpets and the camera's top."""
    top = max(ROBOT_HEIGHT, camera_height)
    blocking = [piece.footprint for piece in house.pieces if piece.bottom < top and piece.top > CARPET_HEIGHT]
    return unary_union([box(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *blocking]])


# Houses


@pytest.mark.parametrize(
    ("seed", "house_digest", "path_digest"),
    [
        (0, "660dbcfc83ae1207", "e9fb696c7663c142"),
        (10_000_000, "fdd34ac0cccd117f", "3d1b0290640294f4"),
    ],
)
def test_a_seed_gives_the_same_house_and_path_on_every_machine(seed, house_digest, path_digest):
    house = make_house(seed)
    assert hashlib.sha256(json.dumps(dataclasses.asdict(house)).encode()).hexdigest()[:16] == house_digest
    assert hashlib.sha256(make_path(house, seed).astype("<f4").tobytes()).hexdigest()[:16] == path_digest


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
        assert 4 <= len(house.rooms) <= 7
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


# Paths


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


# Pictures


def pixel_rays(pose, rows, columns, size, field_of_view_degrees):
    """Directions (n, 3) with length 1 along the optical axis through points of a picture, by the pose convention."""
    yaw, pitch = pose[3], pose[4]
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    up = np.array([-np.sin(pitch) * np.cos(yaw), -np.sin(pitch) * np.sin(yaw), np.cos(pitch)])
    focal = size / 2 / np.tan(np.radians(field_of_view_degrees) / 2)
    u, v = (columns - size / 2) / focal, (rows - size / 2) / focal
    return forward + u[:, None] * right - v[:, None] * up


def cast(mesh, origin, rays):
    """Nearest front face on each ray: depth along the optical axis, class id, and its plane (n, 4)."""
    a, b, c = (mesh.vertices["position"][mesh.indices[corner::3]].astype(float) for corner in range(3))
    normal = np.cross(b - a, c - a)
    towards = rays @ normal.T
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = ((a - origin) * normal).sum(axis=1) / towards
    inside = (towards < 0) & (distance > 0.02)
    for start, end in ((a, b), (b, c), (c, a)):
        edge_normal = np.cross(end - start, start - origin)
        inside &= rays @ edge_normal.T >= -1e-12
    distance = np.where(inside, distance, np.inf)
    nearest = distance.argmin(axis=1)
    unit = normal[nearest] / np.linalg.norm(normal[nearest], axis=1, keepdims=True)
    plane = np.column_stack([unit, (unit * a[nearest]).sum(axis=1)])
    return distance.min(axis=1), mesh.vertices["normal_and_class"][mesh.indices[3 * nearest], 3], plane


def test_depth_and_classes_are_those_of_rays_through_the_pixels_centres():
    size, field_of_view, rng = 64, 60.0, np.random.default_rng(0)
    depth_errors, class_matches, cast_pixels = [], [], 0
    with HousePictures(size, size, field_of_view) as camera:
        for seed in range(4):
            house = make_house(seed)
            poses, mesh = make_path(house, seed)[20::70], build_mesh(house)
            camera.load(house)
            pictures = camera.take(poses)
            for frame, pose in enumerate(poses.astype(float)):
                rows, columns = rng.integers(0, size, (2, 60))
                corners = [(0.5, 0.5), (-0.2, -0.2), (-0.2, 1.2), (1.2, -0.2), (1.2, 1.2)]  # away from edges: one plane
                hits = [
                    cast(mesh, pose[:3], pixel_rays(pose, rows + v, columns + u, size, field_of_view))
                    for v, u in corners
                ]
                flat = np.all([np.abs(hit[2] - hits[0][2]).max(axis=1) < 1e-4 for hit in hits], axis=0)
                flat &= np.all([hit[1] == hits[0][1] for hit in hits], axis=0)
                depth_errors.append((pictures.depth[frame, rows, columns] - hits[0][0])[flat])
                class_matches.append((pictures.objects[frame, rows, columns] == hits[0][1])[flat])
                cast_pixels += len(rows)
    depth_errors, class_matches = np.abs(np.concatenate(depth_errors)), np.concatenate(class_matches)
    assert len(depth_errors) > 0.6 * cast_pixels
    assert np.mean(depth_errors < 0.01) >= 0.99
    assert np.mean(class_matches) >= 0.99


def all_chunks(house, chunk_rooms, chunk_areas, poses, *_):
    """In place of `visibility.chunks_in_view`: everything is drawn."""
    return np.ones((len(poses), len(chunk_rooms)), bool)


def test_what_is_left_undrawn_is_not_in_view(monkeypatch):
    rng = np.random.default_rng(1)
    with HousePictures(48, 36, 75.0) as camera:
        for seed in range(3):
            house = make_house(seed)
            places = make_path(house, seed)[::10, :2]
            doors = np.array([door.centre for door in house.doors])
            places = np.concatenate([places, doors, doors + rng.uniform(-0.2, 0.2, doors.shape)])
            turns = rng.uniform([0.3, -np.pi, -1.5], [1.8, np.pi, 1.5], (len(places), 3))
            poses = np.concatenate([places, turns], axis=1)
            camera.load(house)
            pictures = camera.take(poses)
            with monkeypatch.context() as patch:
                patch.setattr(pictures_module, "chunks_in_view", all_chunks)
                everything = camera.take(poses)
            assert np.array_equal(pictures.objects, everything.objects)
            assert np.array_equal(pictures.depth, everything.depth)


def test_pictures_show_many_classes_and_hardly_ever_nothing():
    trajectories = list(make_trajectories(range(4), processes=1, frames=100))
    shares = np.bincount(np.concatenate([t.objects.reshape(-1) for t in trajectories]), minlength=len(CLASS_NAMES))
    assert len(shares) == len(CLASS_NAMES)
    assert (shares > 0).sum() >= 20
    assert shares[0] < 1e-4 * shares.sum()


def test_several_processes_make_the_trajectories_of_one_in_the_order_of_the_seeds():
    alone = list(make_trajectories([7, 3, 5], processes=1, frames=6))
    together = list(make_trajectories([7, 3, 5], processes=2, frames=6))
    assert [trajectory.house_seed for trajectory in together] == [7, 3, 5]
    for one, other in zip(alone, together, strict=True):
        assert one.rgb.shape == (6, 64, 64, 3) and one.depth.dtype == np.uint16 and one.poses.dtype == np.float32
        for field in ("rgb", "depth", "objects", "poses"):
            assert np.array_equal(getattr(one, field), getattr(other, field)), field


def test_a_process_that_made_pictures_can_train():
    """Mesa and triton have an LLVM each."""
    script = (
        "from training.houses import HousePictures; HousePictures(8, 8, 60.0); "
        "import torch; torch.optim.Adam([torch.zeros(1, requires_grad=True)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_missing_egl_names_the_packages_to_install(monkeypatch):
    def refuse(**_):
        raise ImportError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(GraphicsError, match=r"libEGL\.so\.1.*install libegl1 .*libegl-mesa0"):
        HousePictures(64, 64, 60.0)


def test_the_middle_of_a_door_is_free():
    for seed in SEEDS:
        house = make_house(seed)
        for door in house.doors:
            assert obstacle_area(house).distance(Point(door.centre)) > 0.4, f"house {seed}"
