"""Pictures of made houses, checked against rays, and the trajectories that several processes make of them."""

import subprocess
import sys

import moderngl
import numpy as np
import pytest

from training.houses import CLASS_NAMES, GraphicsError, HousePictures, make_house, make_path, make_trajectories
from training.houses import pictures as pictures_module
from training.houses.mesh import build_mesh


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
