"""Pictures of houses and of scenes from files, checked against rays that another library casts."""

import subprocess
import sys
from types import SimpleNamespace

import moderngl
import numpy as np
import pytest
import trimesh

from training.configuration import UserError
from training.houses import (
    CLASS_NAMES,
    HousePictures,
    TrajectoryMaker,
    WalkConfig,
    house_drawing,
    make_house,
    make_trajectories,
    make_walks,
    scene_drawing,
)
from training.houses import mesh as mesh_module
from training.houses.mesh import build_mesh

AWAY_FROM_EDGES = ((-0.7, -0.7), (-0.7, 0.7), (0.7, -0.7), (0.7, 0.7))  # pixels: the rays there meet the same plane


def walk_through(house, seed):
    """The first walk through a house."""
    return make_walks(house, seed, 1, WalkConfig())[0]


def axes(pose):
    """Forward, right and up of a camera, by the pose convention."""
    yaw, pitch = float(pose[3]), float(pose[4])
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    return forward, right, np.cross(right, forward)


def pixel_rays(pose, rows, columns, camera):
    """Directions (n, 3) with length 1 along the optical axis through points of a picture."""
    forward, right, up = axes(pose)
    focal = camera.width / 2 / np.tan(np.radians(camera.field_of_view_degrees) / 2)
    u, v = (columns - camera.width / 2) / focal, (rows - camera.height / 2) / focal
    return forward + u[:, None] * right - v[:, None] * up


def cast(triangles, pose, rays):
    """What trimesh's rays meet first among triangles (t, 3, 3): index (-1: nothing), depth, and its plane (n, 4)."""
    solid = trimesh.Trimesh(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3), process=False)
    origin = np.asarray(pose[:3], float)
    met, ray, points = solid.ray.intersects_id(
        np.tile(origin, (len(rays), 1)), rays, multiple_hits=False, return_locations=True
    )
    index, depth, plane = np.full(len(rays), -1), np.zeros(len(rays)), np.zeros((len(rays), 4))
    index[ray], depth[ray] = met, (points - origin) @ axes(pose)[0]
    normals = np.cross(*(triangles[met, 1:] - triangles[met, :1]).swapaxes(0, 1))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    plane[ray] = np.column_stack([normals, np.einsum("nk,nk->n", normals, triangles[met, 0])])
    return index, depth, plane


def pixels_away_from_edges(triangles, classes, camera, pose, rows, columns):
    """Class, depth and triangle that rays meet at pixels' centres, where all around is the same plane and class."""
    index, depth, plane = cast(triangles, pose, pixel_rays(pose, rows + 0.5, columns + 0.5, camera))
    met, flat = np.where(index < 0, 0, classes[index]), np.ones(len(rows), bool)
    for v, u in AWAY_FROM_EDGES:
        other, _, beside = cast(triangles, pose, pixel_rays(pose, rows + 0.5 + v, columns + 0.5 + u, camera))
        flat &= (np.abs(beside - plane).max(axis=1) < 1e-3) & (np.where(other < 0, 0, classes[other]) == met)
    return flat, met, depth, index


def test_depth_and_classes_of_a_house_are_those_of_rays_through_the_pixels_centres():
    rng = np.random.default_rng(0)
    depth_errors, class_matches, cast_pixels = [], [], 0
    with HousePictures(64, 64, 60.0) as camera:
        for seed in range(4):
            house = make_house(seed)
            poses, mesh = walk_through(house, seed)[20::70].astype(float), build_mesh(house)
            corners = mesh.vertices[mesh.indices].reshape(-1, 3)
            triangles = corners["position"].astype(float)
            normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
            camera.load(house)
            pictures = camera.take(poses)
            for frame, pose in enumerate(poses):
                front = ((pose[:3] - triangles[:, 0]) * normals).sum(axis=1) > 0
                rows, columns = rng.integers(0, 64, (2, 60))
                classes = corners["second_and_class"][front, 0, 3]
                flat, met, depth, _ = pixels_away_from_edges(triangles[front], classes, camera, pose, rows, columns)
                depth_errors.append((pictures.depth[frame, rows, columns] - depth)[flat])
                class_matches.append((pictures.objects[frame, rows, columns] == met)[flat])
                cast_pixels += len(rows)
    depth_errors, class_matches = np.abs(np.concatenate(depth_errors)), np.concatenate(class_matches)
    assert len(depth_errors) > 0.6 * cast_pixels
    assert np.mean(depth_errors < 0.01) >= 0.99
    assert np.mean(class_matches) >= 0.99


def scene_of(parts, textures=()):
    """What the drawing of a scene reads, from (trimesh, sRGB colour, class id, texture) each."""
    vertices = np.concatenate([part.vertices for part, *_ in parts])
    starts = np.cumsum([0] + [len(part.vertices) for part, *_ in parts])
    uv = [getattr(part.visual, "uv", None) for part, *_ in parts]
    counts = [len(part.faces) for part, *_ in parts]
    return SimpleNamespace(
        vertices=vertices.astype(np.float32),
        triangles=np.concatenate([part.faces + start for (part, *_), start in zip(parts, starts, strict=False)]),
        vertex_normals=np.concatenate([part.vertex_normals for part, *_ in parts]).astype(np.float32),
        colours=np.concatenate([np.tile(np.uint8(colour), (len(part.vertices), 1)) for part, colour, *_ in parts]),
        uv=np.concatenate(
            [np.zeros((len(p.vertices), 2)) if c is None else c for (p, *_), c in zip(parts, uv, strict=True)]
        ).astype(np.float32),
        texture=np.repeat([texture for *_, texture in parts], counts).astype(np.int16),
        textures=textures,
        class_ids=np.repeat([class_id for _, _, class_id, _ in parts], counts).astype(np.uint8),
    )


def boxes_and_a_poster():
    """A red and a green box, and a white quad whose texture is blue on the left and yellow on the right."""
    red = trimesh.creation.box((1, 1, 1)).apply_translation((3, 1.2, 0.5))
    green = trimesh.creation.box((1, 1, 2)).apply_translation((4, -1.5, 1.0))
    corners = [(3.5, 0.5, 0.2), (3.5, -0.7, 0.2), (3.5, -0.7, 1.4), (3.5, 0.5, 1.4)]
    poster = trimesh.Trimesh(corners, [(0, 1, 2), (0, 2, 3)], process=False)
    poster.visual = trimesh.visual.TextureVisuals(uv=[(0, 1), (1, 1), (1, 0), (0, 0)])
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4], texture[:, 4:] = (0, 0, 255), (255, 255, 0)
    return scene_of([(red, (230, 20, 20), 3, -1), (green, (20, 230, 20), 7, -1), (poster, (255,) * 3, 9, 0)], [texture])


def test_depth_classes_and_colours_of_a_scene_are_those_of_rays_from_both_of_a_faces_sides():
    scene = boxes_and_a_poster()
    triangles = scene.vertices[scene.triangles].astype(float)
    poses = np.array([(0, 0, 0.8, 0.0, 0.0), (1.0, -1.0, 1.5, 0.3, -0.2), (7.0, 0.3, 0.8, np.pi, 0.0)])
    rows, columns = np.indices((64, 64))[:, ::3, ::3].reshape(2, -1)
    with HousePictures(64, 64, 60.0) as camera:
        camera.load(scene)
        pictures = camera.take(poses)
        for frame, pose in enumerate(poses):
            flat, met, depth, index = pixels_away_from_edges(triangles, scene.class_ids, camera, pose, rows, columns)
            seen = pictures.rgb[frame, rows, columns].astype(int)
            assert set(met) == {0, 3, 7, 9}
            assert np.mean(np.abs(pictures.depth[frame, rows, columns] - depth)[flat] < 0.01) >= 0.99
            assert np.mean((pictures.objects[frame, rows, columns] == met)[flat]) >= 0.99
            assert (seen[flat & (met == 3)].argmax(axis=1) == 0).all()
            assert (seen[flat & (met == 7)].argmax(axis=1) == 1).all()
            assert not seen[flat & (met == 0)].any()
            across = (np.asarray(pose[:3]) + depth[:, None] * pixel_rays(pose, rows + 0.5, columns + 0.5, camera))[:, 1]
            left, right = (flat & (met == 9) & far for far in (across > 0.1, across < -0.3))
            assert left.sum() > 5 and (seen[left, 2] > 150).all() and (seen[left, 0] < 20).all()
            assert right.sum() > 5 and (seen[right, 0] > 150).all() and (seen[right, 2] < 20).all()


def test_the_shape_of_a_scene_of_one_colour_is_seen():
    with HousePictures(64, 64, 60.0) as camera:
        box = trimesh.creation.box((1, 1, 1))
        box.unmerge_vertices()  # its sides have normals of their own
        camera.load(scene_of([(box, (200, 200, 200), 3, -1)]))
        pictures = camera.take([(-1.5, -1.5, 1.4, np.pi / 4, -0.6)])
    levels = np.unique(pictures.rgb[pictures.objects == 3][:, 0], return_counts=True)
    assert np.sum(levels[1] > 50) == 3  # the three sides in view


def random_poses(rng, places):
    """Cameras at these places (n, 2) that look anywhere."""
    return np.concatenate([places, rng.uniform([0.3, -np.pi, -1.5], [1.8, np.pi, 1.5], (len(places), 3))], axis=1)


def all_chunks(house, chunk_rooms, chunk_areas, poses, *_):
    """In place of `visibility.chunks_in_view`: everything is drawn."""
    return np.ones((len(poses), len(chunk_rooms)), bool)


def test_what_is_left_undrawn_of_a_house_is_not_in_view(monkeypatch):
    rng = np.random.default_rng(1)
    with HousePictures(48, 36, 75.0) as camera:
        for seed in range(3):
            house = make_house(seed)
            places = walk_through(house, seed)[::10, :2]
            doors = np.array([door.centre for door in house.doors])
            places = np.concatenate([places, doors, doors + rng.uniform(-0.2, 0.2, doors.shape)])
            poses = random_poses(rng, places)
            camera.load(house)
            pictures = camera.take(poses)
            with monkeypatch.context() as patch:
                patch.setattr(house_drawing, "chunks_in_view", all_chunks)
                everything = camera.take(poses)
            assert np.array_equal(pictures.objects, everything.objects)
            assert np.array_equal(pictures.depth, everything.depth)


def test_what_is_left_undrawn_of_a_scene_is_not_in_view(monkeypatch):
    rng = np.random.default_rng(2)
    balls = [trimesh.creation.icosphere(3).apply_translation(rng.uniform(-6, 6, 3)) for _ in range(12)]
    scene = scene_of([(ball, rng.integers(50, 250, 3), 1 + number, -1) for number, ball in enumerate(balls)])
    poses = random_poses(rng, rng.uniform(-6, 6, (40, 2)))
    with HousePictures(48, 36, 75.0) as camera:
        camera.load(scene)
        pictures = camera.take(poses)
        drawn = []

        def everything(mesh, matrices):
            drawn.append(scene_in_view(mesh, matrices).mean())
            return np.ones((len(matrices), len(mesh.chunk_ranges)), bool)

        scene_in_view = scene_drawing.in_view
        monkeypatch.setattr(scene_drawing, "in_view", everything)
        for field in ("rgb", "depth", "objects"):
            assert np.array_equal(getattr(pictures, field), getattr(camera.take(poses), field)), field
    assert drawn[0] < 0.5


def test_faces_show_their_own_light_only(monkeypatch):
    """Their patches of the light map lie side by side; here with dark gaps, of which nothing may be seen."""
    house, pack = make_house(2), mesh_module.packed
    poses = random_poses(np.random.default_rng(3), walk_through(house, 2)[::10, :2])
    with HousePictures(64, 64, 60.0) as camera:
        monkeypatch.setattr(mesh_module.HouseLight, "texels", lambda *given: np.full((len(given[1]), 3), 170, np.uint8))
        monkeypatch.setattr(mesh_module, "packed", lambda sizes: pack(sizes + 3))
        camera.load(house)
        with_gaps = camera.take(poses).rgb
        light_map = mesh_module.MeshBuilder.light_map
        monkeypatch.setattr(mesh_module.MeshBuilder, "light_map", lambda *given: np.full_like(light_map(*given), 170))
        camera.load(house)
        assert np.array_equal(with_gaps, camera.take(poses).rgb)
    assert with_gaps.mean() > 60


def test_pictures_show_many_classes_and_hardly_ever_nothing():
    trajectories = list(make_trajectories(range(4), 1, TrajectoryMaker(WalkConfig(frames=100))))
    shares = np.bincount(np.concatenate([t.objects.reshape(-1) for t in trajectories]), minlength=len(CLASS_NAMES))
    assert len(shares) == len(CLASS_NAMES)
    assert (shares > 0).sum() >= 20
    assert shares[0] < 1e-4 * shares.sum()


def test_several_processes_make_the_trajectories_of_one_in_the_order_of_the_seeds():
    maker = TrajectoryMaker(WalkConfig(frames=6))
    alone, together = (list(make_trajectories([7, 3, 5], processes, maker)) for processes in (1, 2))
    assert [trajectory.name for trajectory in together] == [f"house {seed}, walk 0" for seed in (7, 3, 5)]
    for one, other in zip(alone, together, strict=True):
        assert one.rgb.shape == (6, 64, 64, 3) and one.depth.dtype == np.uint16 and one.poses.dtype == np.float32
        for field in ("rgb", "depth", "objects", "poses"):
            assert np.array_equal(getattr(one, field), getattr(other, field)), field


def test_pictures_do_not_depend_on_how_many_are_taken_at_once():
    house = make_house(1)
    poses = walk_through(house, 1)[:70]
    with HousePictures(64, 64, 60.0) as camera:
        camera.load(house)
        together, alone = camera.take(poses), [camera.take(poses[frame]) for frame in (0, 63, 64, 69)]
        for field in ("rgb", "depth", "objects"):
            singles = np.concatenate([getattr(pictures, field) for pictures in alone])
            difference = np.abs(getattr(together, field)[[0, 63, 64, 69]].astype(float) - singles)
            assert np.mean(difference > 0.002) < 0.01, field  # the last bits depend on where in the target a picture is
        assert camera.take(poses[:0]).rgb.shape == (0, 64, 64, 3)


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
    with pytest.raises(UserError, match=r"libEGL\.so\.1.*install libegl1 .*libegl-mesa0 and libgl1-mesa-dri"):
        HousePictures(64, 64, 60.0)


def test_several_cameras_of_a_process_do_not_disturb_each_other():
    house, poses = make_house(1), walk_through(make_house(1), 1)[:20]
    with HousePictures(16, 16, 60.0) as first:
        first.load(house)
        alone = first.take(poses)
        with HousePictures(24, 24, 60.0) as second:
            second.load(make_house(2))
            assert np.array_equal(first.take(poses).depth, alone.depth)
            second.take(poses)
        assert np.array_equal(first.take(poses).depth, alone.depth)
        assert np.array_equal(first.take(poses).rgb, alone.rgb)
        assert first.renderer
