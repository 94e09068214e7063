"""Scenes of others: read with colours and classes, walked through where there is room, and drawn."""

import dataclasses
import json
import os
import random
import struct
import zlib

import numpy as np
import pytest
import trimesh
from PIL import Image
from shapely import distance, points
from shapely.geometry import box
from shapely.ops import unary_union
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from training.configuration import UserError
from training.houses.classes import CLASS_IDS, CLASS_NAMES
from training.houses.free_space import ROBOT_HEIGHT, ROBOT_RADIUS, blocking_height, walkable
from training.houses.mesh import build_mesh
from training.houses.pictures import HousePictures
from training.houses.plan import make_house
from training.houses.scene_file import read_scene
from training.houses.walks import WalkConfig, make_walks

Y_UP = trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))
WALLS = ((-0.1, -0.1, 0, 4.1), (6, -0.1, 6.1, 4.1), (0, -0.1, 6, 0), (0, 4, 6, 4.1))  # x0, y0, x1, y1
CHAIR, ISLAND = (1.0, 1.0, 1.5, 1.5), (3.0, 2.6, 5.0, 3.9)
LEGS = tuple((x, y, x + 0.06, y + 0.06) for x in (3.0, 4.34) for y in (0.5, 1.24))
QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))  # of the floor's texture: upper two, lower two


def furnished_room(material=SimpleMaterial, floor_height=0.0):
    """A room of 6 x 4 x 2.5 m as a trimesh.Scene, z up: textured floor, walls, a chair, a table, an island, a rug."""
    scene = trimesh.Scene()

    def add(name, x0, y0, x1, y1, bottom, top, colour):
        mesh = trimesh.creation.box((x1 - x0, y1 - y0, top - bottom))
        mesh.apply_translation(((x0 + x1) / 2, (y0 + y1) / 2, (bottom + top) / 2 + floor_height))
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.tile((*colour, 255), (8, 1)).astype(np.uint8))
        scene.add_geometry(mesh, node_name=name, geom_name=name)

    corners = np.array([(0, 0, floor_height), (6, 0, floor_height), (6, 4, floor_height), (0, 4, floor_height)], float)
    floor = trimesh.Trimesh(corners, [(0, 1, 2), (0, 2, 3)], process=False)
    quarters = np.array(QUARTERS, np.uint8).reshape(2, 2, 3).repeat(32, axis=0).repeat(32, axis=1)
    image = {"baseColorTexture" if material is PBRMaterial else "image": Image.fromarray(quarters)}
    uv = [(0, 0), (1, 0), (1, 1), (0, 1)]  # the picture lies with its lower edge along x, as trimesh counts
    floor.visual = trimesh.visual.TextureVisuals(uv=uv, material=material(name="planks", **image))
    scene.add_geometry(floor, node_name="Floor", geom_name="Floor")
    for number, wall in enumerate(WALLS):
        add(f"Wall_{number}", *wall, 0.0, 2.5, (200, 190, 150))
    add("Ceiling", 0, 0, 6, 4, 2.5, 2.6, (240, 240, 240))
    add("Chair_01", *CHAIR, 0.0, 0.9, (180, 30, 30))
    add("kitchen_island", *ISLAND, 0.0, 0.95, (90, 90, 90))
    add("Table_top", 3.0, 0.5, 4.4, 1.3, 0.9, 0.95, (120, 80, 40))
    for number, leg in enumerate(LEGS):
        add(f"Table_leg_{number}", *leg, 0.0, 0.9, (90, 60, 30))
    add("Rug", 1.8, 2.6, 2.8, 3.6, 0.0, 0.02, (30, 60, 160))
    return scene


def one_mesh(scene):
    """All its meshes as one, coloured by vertex."""
    meshes = [trimesh.Trimesh(m.vertices, m.faces, process=False) for m in scene.geometry.values()]
    return trimesh.util.concatenate(meshes)


def exported(folder, kind):
    """The room as a file of a kind; glTF has y up, as it should."""
    path = folder / f"room.{kind}"
    if kind in ("glb", "gltf"):
        scene = furnished_room(PBRMaterial)
        scene.apply_transform(Y_UP)
        files = scene.export(file_type="gltf") if kind == "gltf" else {"room.glb": scene.export(file_type="glb")}
        for name, content in files.items():
            (folder / name.replace("model", "room")).write_bytes(content)
    else:
        (furnished_room() if kind == "obj" else one_mesh(furnished_room())).export(path)
    return path


OBSTACLES = unary_union([box(*area) for area in (*WALLS, CHAIR, ISLAND, *LEGS)])


# Reading


@pytest.mark.parametrize("kind", ["glb", "gltf", "obj", "off", "ply", "stl"])
def test_a_room_is_the_same_from_every_kind_of_file(tmp_path, kind):
    scene = read_scene(exported(tmp_path, kind))
    assert np.ptp(scene.vertices, axis=0) == pytest.approx((6.2, 4.2, 2.6), abs=1e-5)
    assert scene.vertices.min(axis=0) == pytest.approx((-0.1, -0.1, 0.0), abs=1e-5)
    assert scene.floor_height == pytest.approx(0.0, abs=0.01)
    assert [area.name for area in scene.rooms] == ["area 1"]
    assert scene.rooms[0].size == pytest.approx(24 - 0.25 - 2.6, abs=1.5)  # the floor less chair and island
    assert len(scene.triangles) == len(scene.texture) == len(scene.class_ids) == 13 * 12 + 2
    assert len(scene.vertices) == len(scene.vertex_normals) == len(scene.colours) == len(scene.uv)
    types = {name: getattr(scene, name).dtype.name for name in ("vertices", "triangles", "vertex_normals", "colours")}
    assert types == {"vertices": "float32", "triangles": "int32", "vertex_normals": "float32", "colours": "uint8"}
    assert (scene.uv.dtype.name, scene.texture.dtype.name, scene.class_ids.dtype.name) == ("float32", "int16", "uint8")
    said = " ".join(scene.remarks)
    assert ("no units" in said) == ("which axis is up" in said) == (kind not in ("glb", "gltf"))


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_classes_come_from_names(tmp_path, kind):
    scene = read_scene(exported(tmp_path, kind))
    counts = {CLASS_NAMES[i]: int(n) for i, n in enumerate(np.bincount(scene.class_ids)) if n}
    assert counts == {
        "floor": 2, "wall": 48, "ceiling": 12, "chair": 12, "counter": 12, "table": 60, "carpet": 12
    }  # fmt: skip


def test_classes_also_come_from_materials_and_groups_and_unknown_things_are_0(tmp_path):
    scene = furnished_room(PBRMaterial)
    for name, node, parent in (("Cube.001", "thing", "Old_sofa"), ("Cube.002", "s__12", None)):
        cube = trimesh.creation.box((0.3, 0.3, 0.3))
        scene.graph.update(parent or "world", "world") if parent else None
        scene.add_geometry(cube, geom_name=name, node_name=node, parent_node_name=parent)
    scene.apply_transform(Y_UP)
    scene.export(tmp_path / "room.glb")
    ids = read_scene(tmp_path / "room.glb").class_ids
    assert (ids == CLASS_IDS["sofa"]).sum() == (ids == 0).sum() == 12


def test_pictures_of_a_scene_show_its_colours_depths_classes_and_textures(tmp_path):
    for kind in ("glb", "obj"):
        scene = read_scene(exported(tmp_path, kind))
        down = -np.pi / 2 + 1e-3
        quarters = [(1.5, 3.5), (5.5, 3.95), (0.5, 0.5), (5.5, 0.5)]  # upper two, lower two, seen from above
        poses = [(x, y, 1.0, 0.0, down) for x, y in quarters] + [(0.5, 1.25, 0.5, 0.0, 0.0), (5.0, 2.0, 1.2, 0.0, 0.0)]
        with HousePictures(33, 33, 20.0) as camera:
            camera.load(scene)
            pictures = camera.take(np.array(poses))
        middle = (slice(None), 16, 16)
        assert pictures.depth[middle] == pytest.approx((1.0, 1.0, 1.0, 1.0, 0.5, 1.0), abs=0.01)
        names = [CLASS_NAMES[i] for i in pictures.objects[middle]]
        assert names == ["floor"] * 4 + ["chair", "wall"]
        for seen, colour in zip(pictures.rgb[middle][:4], QUARTERS, strict=True):
            assert ((seen > 60) == (np.array(colour) > 0)).all(), (kind, seen, colour)
        red, green, blue = pictures.rgb[middle][4].astype(int)
        assert kind == "obj" or (red > 2 * green and red > 2 * blue)  # trimesh writes OBJ so that the colour is lost


# Where a robot can go


def test_clearance_is_never_more_than_the_true_one_and_little_less(tmp_path):
    for kind, top in (("glb", ROBOT_HEIGHT), ("ply", 0.84)):
        scene = read_scene(exported(tmp_path, kind))
        places = np.random.default_rng(0).uniform((0, 0), (6, 4), (2000, 2))
        true = distance(points(places), OBSTACLES)
        found = scene.clearance(places, top)
        assert (found <= true + 1e-6).all()
        assert (found >= true - 0.08).all()
        assert (scene.clearance(np.array([(-1.0, 2.0), (1.25, 1.25), (4.0, 3.0), (9.0, 9.0)]), top) == 0).all()


def test_what_is_higher_than_a_robot_or_flatter_than_a_carpet_is_in_nobodys_way(tmp_path):
    scene = read_scene(exported(tmp_path, "glb"))
    under_the_table, on_the_rug = np.array([(3.7, 0.9)]), np.array([(2.3, 3.1)])
    assert scene.clearance(under_the_table, 0.85)[0] > 0.3
    assert scene.clearance(under_the_table, 0.91)[0] == scene.clearance(under_the_table, 1.0)[0] == 0.0
    assert scene.clearance(on_the_rug, 1.7)[0] > 0.6


def test_under_a_sloping_roof_a_robot_comes_as_far_as_its_height_allows(tmp_path):
    floor = [(0, 0, 0), (6, 0, 0), (6, 4, 0), (0, 4, 0)]
    roof = [(x, y, (x + y) / 2) for x, y, _ in floor]
    attic = trimesh.Trimesh(floor + roof, [(0, 1, 2), (0, 2, 3), (4, 6, 5), (4, 7, 6)], process=False)
    attic.export(tmp_path / "attic.ply")
    scene = read_scene(tmp_path / "attic.ply", up="z")
    for top in (0.75, 1.25, 1.65):
        true = (2.2 + 1.8 - 2 * top) / np.sqrt(2)
        assert true - 0.08 <= scene.clearance(np.array([(2.2, 1.8)]), top)[0] <= true


def test_walks_in_a_scene_keep_clear_at_their_height_above_its_floor(tmp_path):
    scene = furnished_room(PBRMaterial, floor_height=1.3)
    scene.apply_transform(Y_UP)
    scene.export(tmp_path / "room.glb")
    scene = read_scene(tmp_path / "room.glb")
    assert scene.floor_height == pytest.approx(1.3, abs=0.01)
    for kind in ("house_traveler", "waypoints"):
        for walk in make_walks(scene, 5, 3, WalkConfig(kind=kind)):
            height = walk[0, 2] - scene.floor_height
            assert 0.19 < height < 1.61
            table = [box(3.0, 0.5, 4.4, 1.3)] if blocking_height(height) > 0.9 else []
            true = distance(points(walk[:, :2].astype(float)), unary_union([OBSTACLES, *table]))
            assert true.min() >= ROBOT_RADIUS


def test_few_large_triangles_and_many_small_ones_leave_the_same_space(tmp_path):
    coarse = one_mesh(furnished_room())
    fine = trimesh.Trimesh(*trimesh.remesh.subdivide_to_size(coarse.vertices, coarse.faces, 0.08), process=False)
    assert len(fine.faces) > 20_000
    grids = []
    for name, mesh in (("coarse", coarse), ("fine", fine)):
        mesh.export(tmp_path / f"{name}.ply")
        grids.append(read_scene(tmp_path / f"{name}.ply").grid(1.0))
    assert (grids[0].blocked != grids[1].blocked).mean() < 0.001
    assert (grids[0].rooms != grids[1].rooms).mean() < 0.001


def test_a_noisy_scan_has_the_floor_and_the_space_of_the_room(tmp_path):
    mesh = one_mesh(furnished_room())
    vertices, faces = trimesh.remesh.subdivide_to_size(mesh.vertices, mesh.faces, 0.06)
    vertices += np.random.default_rng(0).normal(0.0, 0.008, vertices.shape)
    holes = np.random.default_rng(1).random(len(faces)) < 0.03
    trimesh.Trimesh(vertices, faces[~holes], process=False).export(tmp_path / "scan.ply")
    scene = read_scene(tmp_path / "scan.ply")
    assert scene.floor_height == pytest.approx(0.0, abs=0.02)
    assert len(scene.rooms) == 1 and scene.rooms[0].size > 18.0


def test_a_made_house_read_back_as_triangles_leaves_the_space_that_it_has(tmp_path):
    house = dataclasses.replace(make_house(3), pieces=())
    mesh = build_mesh(house)
    solid = trimesh.Trimesh(mesh.vertices["position"], mesh.indices.reshape(-1, 3), process=False)
    solid.export(tmp_path / "house.ply")
    scene, space = read_scene(tmp_path / "house.ply", up="z"), walkable(house)
    places = np.random.default_rng(0).uniform(0, (house.bounds.x1, house.bounds.y1), (5000, 2))
    true, found = space.clearance(places, ROBOT_HEIGHT), scene.clearance(places, ROBOT_HEIGHT)
    off_the_walls = true > 0.0  # the house's are solid, the mesh's hollow
    assert (found <= true + 0.02)[off_the_walls].all()
    assert (found >= true - 0.1).all()
    assert len(scene.rooms) == 1  # all rooms are joined by doors


def test_areas_that_no_way_joins_are_rooms_of_their_own(tmp_path):
    scene = furnished_room()
    wall = trimesh.creation.box((0.1, 4.0, 2.5))
    wall.apply_translation((2.5, 2.0, 1.25))
    scene.add_geometry(wall, node_name="Wall_9", geom_name="Wall_9")
    one_mesh(scene).export(tmp_path / "room.ply")
    scene = read_scene(tmp_path / "room.ply")
    assert [area.name for area in scene.rooms] == ["area 1", "area 2"]
    assert scene.rooms[0].size > scene.rooms[1].size
    grid = scene.grid(1.2)
    assert grid.rooms[grid.cells(np.array([(2.75, 3.0)]))] == 0 and grid.rooms[grid.cells(np.array([(0.5, 3.0)]))] == 1
    assert (grid.rooms[grid.cells(np.array([(4.0, 3.2)]))] == -1).all()  # inside the island


# Units, axes, faces turned round


def test_a_scene_in_centimetres_is_told_its_size_and_what_to_set(tmp_path):
    mesh = one_mesh(furnished_room())
    for factor, advice in (
        (100.0, "620 x .*set scale=0.01"),
        (1000.0, "6200 x .*set scale=0.001"),
        (0.01, "set scale=100"),
    ):
        path = tmp_path / "room.stl"
        mesh.copy().apply_scale(factor).export(path)
        with pytest.raises(UserError, match=f"{advice} if its units") as refusal:
            read_scene(path)
        assert str(refusal.value).startswith(f"{path}: ") and "\n" not in str(refusal.value)
        scene = read_scene(path, scale=1 / factor)
        assert np.ptp(scene.vertices, axis=0) == pytest.approx((6.2, 4.2, 2.6), rel=1e-4)


def test_a_scene_that_is_large_but_can_be_walked_in_is_used_with_a_remark(tmp_path):
    one_mesh(furnished_room()).apply_scale((18.0, 1.0, 1.0)).export(tmp_path / "hall.ply")
    scene = read_scene(tmp_path / "hall.ply")
    assert any(
        remark.startswith("is 112 x 4.2 x 2.6 m large") and "set scale=0.1" in remark for remark in scene.remarks
    )


def test_the_axis_that_points_up_is_found_or_given(tmp_path):
    mesh = one_mesh(furnished_room()).apply_transform(Y_UP)
    mesh.export(tmp_path / "y.ply")
    scene = read_scene(tmp_path / "y.ply")
    assert "says not which axis is up: y taken; set up= if that is wrong" in scene.remarks
    assert np.array_equal(scene.vertices, read_scene(tmp_path / "y.ply", up="y").vertices)
    assert scene.clearance(np.array([(1.25, 1.25), (0.5, 3.5)]), 1.0) == pytest.approx((0.0, 0.475), abs=0.03)
    mesh.apply_transform(np.array([(0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 0, 0), (0, 0, 0, 1)]))
    mesh.export(tmp_path / "x.ply")
    assert np.ptp(read_scene(tmp_path / "x.ply", up="x").vertices, axis=0) == pytest.approx((6.2, 4.2, 2.6), abs=1e-4)


def test_mirrored_instances_and_scenes_turned_inside_out_can_be_walked_in(tmp_path):
    scene = furnished_room(PBRMaterial)
    scene.apply_transform(Y_UP @ np.diag((-1.0, 1.0, 1.0, 1.0)))
    scene.export(tmp_path / "mirrored.glb")
    mirrored = read_scene(tmp_path / "mirrored.glb")
    assert mirrored.clearance(np.array([(-1.25, 1.25), (-2.0, 1.25)]), 0.8) == pytest.approx((0.0, 0.475), abs=0.03)
    corners = mirrored.vertices[mirrored.triangles[mirrored.class_ids == CLASS_IDS["floor"]]]
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()
    inside_out = furnished_room()
    inside_out.delete_geometry("kitchen_island")
    inverted = one_mesh(inside_out)
    inverted.invert()
    inverted.export(tmp_path / "inverted.ply")
    assert read_scene(tmp_path / "inverted.ply").floor_height == pytest.approx(0.0, abs=0.01)


def test_boxes_have_edges_and_round_things_are_smooth(tmp_path):
    scene = one_mesh(furnished_room())
    ball = trimesh.creation.icosphere(3, radius=0.3)
    ball.apply_translation((2.0, 1.0, 1.5))
    trimesh.util.concatenate([scene, ball]).export(tmp_path / "room.ply")
    read = read_scene(tmp_path / "room.ply", up="z")
    round_part = (
        abs(np.hypot(*(read.vertices - (2.0, 1.0, 1.5)).T[:2]) ** 2 + (read.vertices[:, 2] - 1.5) ** 2 - 0.09) < 1e-4
    )
    assert round_part.sum() == len(ball.vertices)
    outwards = (read.vertices[round_part] - (2.0, 1.0, 1.5)) / 0.3
    assert (read.vertex_normals[round_part] * outwards).sum(axis=1).min() > 0.99
    assert (abs(read.vertex_normals[~round_part]).max(axis=1) > 0.999).all()


# Files from outside


@pytest.mark.parametrize("reference", ["../secret.png", "{tmp}/secret.png", "http://127.0.0.1:9/x.png", "link.png"])
def test_a_scene_gets_no_files_but_those_beside_it(tmp_path, reference):
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "secret.png")
    folder = tmp_path / "scene"
    folder.mkdir()
    os.symlink(tmp_path / "secret.png", folder / "link.png")
    reference = reference.format(tmp=tmp_path)
    path = exported(folder, "obj")
    (folder / "material.mtl").write_text(f"newmtl planks\nmap_Kd {reference}\n")
    scene = read_scene(path)
    assert not any((texture == (1, 2, 3)).all() for texture in scene.textures)
    told = "is not beside the scene's file; left out"
    assert any(reference[:80] in remark and told in remark for remark in scene.remarks)
    document = json.loads(exported(folder, "gltf").read_text())
    document["buffers"][0]["uri"] = reference
    (folder / "room.gltf").write_text(json.dumps(document))
    with pytest.raises(UserError, match="is not beside the scene's file"):
        read_scene(folder / "room.gltf")


def test_textures_that_are_huge_missing_or_damaged_are_left_out_and_named(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    Image.effect_noise((200, 200), 50).save(tmp_path / "whole.png")
    contents = {"bomb.png": bomb, "text.png": b"no picture", "cut.png": (tmp_path / "whole.png").read_bytes()[:9000]}
    path = exported(tmp_path, "obj")
    for name in (*contents, "missing.png"):
        (tmp_path / name).write_bytes(contents[name]) if name in contents else None
        (tmp_path / "material.mtl").write_text(f"newmtl planks\nmap_Kd {name}\n")
        scene = read_scene(path)
        assert any("left out" in remark and "text" in remark or name in remark for remark in scene.remarks), name
        assert scene.rooms


def test_large_textures_are_made_smaller(tmp_path):
    path = exported(tmp_path, "obj")
    Image.new("RGB", (3000, 1500), (9, 99, 199)).save(tmp_path / "planks.png")
    (texture,) = read_scene(path).textures
    assert texture.shape == (512, 1024, 3) and (texture == (9, 99, 199)).all()


def test_damaged_files_end_in_one_line_that_names_them(tmp_path):
    draws, refused = random.Random(0), 0
    for kind in ("glb", "obj", "ply", "stl"):
        whole = exported(tmp_path, kind).read_bytes()
        for number in range(20):
            content = bytearray(whole[: len(whole) // 2] if number == 0 else whole)
            for _ in range(draws.choice((1, 10, 100)) if number else 0):
                content[draws.randrange(len(content))] = draws.randrange(256)
            path = tmp_path / f"damaged.{kind}"
            path.write_bytes(content)
            try:
                scene = read_scene(path)
            except UserError as error:
                refused += 1
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            else:
                assert np.isfinite(scene.vertices).all() and scene.triangles.max() < len(scene.vertices)
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.glb", None, "cannot be read: No such file"),
        ("room.fbx", b"", "expected a scene in one of glb, gltf, obj, off, ply, stl, found '.fbx'"),
        ("empty.glb", b"", "damaged, or no glb file"),
        ("empty.obj", b"", "no triangles in it"),
        ("page.gltf", b"<html>", "damaged, or no gltf file: JSONDecodeError"),
        ("points.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
         b"property float z\nend_header\n0 0 0\n", "no triangles in it: .*1 part without triangles"),
    ],
)  # fmt: skip
def test_files_without_a_scene_are_refused_in_one_line(tmp_path, name, content, complaint):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint) as refusal:
        read_scene(tmp_path / name)
    assert str(refusal.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(refusal.value)


def test_a_scene_without_room_for_a_robot_says_where_it_looked(tmp_path):
    mesh = trimesh.creation.box((3.0, 3.0, 0.5))  # a closed chest: its lid is a floor, but for nothing to stand on
    trimesh.util.concatenate([mesh, trimesh.creation.box((3.0, 3.0, 0.1)).apply_translation((0, 0, 0.5))]).export(
        tmp_path / "chest.ply"
    )
    low = trimesh.creation.box((0.5, 0.5, 2.0))
    low.export(tmp_path / "post.ply")
    with pytest.raises(UserError, match="no walkable space: .*m large.*scale=.*up="):
        read_scene(tmp_path / "post.ply")


def test_triangles_without_finite_corners_are_left_out_and_counted(tmp_path):
    mesh = one_mesh(furnished_room())
    vertices = np.concatenate([mesh.vertices, [(np.nan, 0, 0), (0, np.inf, 0), (1, 1, 1)]])
    count = len(mesh.vertices)
    faces = np.concatenate([mesh.faces, [(count, count + 2, 0), (count + 1, 1, 2)]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "room.ply")
    scene = read_scene(tmp_path / "room.ply")
    assert len(scene.triangles) == len(mesh.faces)
    assert any(remark.startswith("2 triangles with coordinates that are no finite numbers") for remark in scene.remarks)
