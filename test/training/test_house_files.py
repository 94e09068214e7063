"""House files of others: plans become houses to walk in and to take pictures of; what is wrong in them is named."""

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import box

from training.configuration import UserError
from training.houses.class_words import class_of
from training.houses.classes import CLASS_IDS, CLASS_NAMES
from training.houses.fitted_furniture import SHAPES
from training.houses.free_space import ROBOT_HEIGHT, ROBOT_RADIUS, FreeSpace, blocking_height, walkable
from training.houses.house_file import read_house
from training.houses.pictures import HousePictures
from training.houses.walks import WalkConfig, make_walks

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "house.json"
NODES = json.loads(EXAMPLE.read_text())


def written(tmp_path, nodes):
    path = tmp_path / "house.json"
    path.write_text(nodes if isinstance(nodes, str) else json.dumps(nodes))
    return path


def room(x0, z0, x1, z1, **more):
    return {"type": "Room", "bbox": {"min": [x0, 0, z0], "max": [x1, 2.6, z1]}, **more}


def thing(name, x0, z0, x1, z1, height=0.8, bottom=0.0):
    return {"type": "Object", "modelId": name, "bbox": {"min": [x0, bottom, z0], "max": [x1, height, z1]}}


def reached_rooms(house):
    """The rooms in the part of the free space that holds most of it."""
    space = FreeSpace(walkable(house), ROBOT_HEIGHT)
    return set(space.spot_rooms[space.parts == np.bincount(space.parts).argmax()].tolist())


def test_the_example_becomes_a_house_with_its_rooms_doors_windows_and_furniture():
    house, remarks = read_house(EXAMPLE, seed=0)
    assert [room.name for room in house.rooms] == ["living room", "bedroom", "kitchen", "corridor", "bathroom"]
    names = [piece.name for piece in house.pieces]
    assert {"sofa", "coffee table", "carpet", "cupboard", "shelf", "bed", "wardrobe", "nightstand"} <= set(names)
    assert {"counter", "refrigerator", "table", "chair", "toilet", "sink", "door"} <= set(names)
    kinds = [(opening.kind, opening.rooms) for opening in house.openings]
    assert ("door", (3, 0)) in kinds and ("window", (0, None)) in kinds
    assert reached_rooms(house) == set(range(5))
    assert len(remarks) == 3 and all("a door of 0.9 m added" in remark for remark in remarks)


def test_named_doors_and_windows_are_where_the_file_has_them():
    house, _ = read_house(EXAMPLE, seed=0)
    door = next(door for door in house.doors if door.rooms == (3, 0))
    # The plan begins half a wall (6 cm) before its first room; z of the file runs against our y.
    assert (door.start, door.end, door.at, door.top) == (4.06, 4.96, pytest.approx(7.56 - 4.25), 2.05)
    window = next(opening for opening in house.openings if opening.kind == "window")
    assert (window.start, window.end, window.bottom, window.top) == (1.56, 3.56, 0.9, 2.2)
    assert window.at == house.bounds.y1


def test_a_door_that_a_file_lists_twice_is_one_door(tmp_path):
    twice = [
        room(0, 0, 4, 4),
        room(4.1, 0, 8, 4),
        thing("door", 4, 1, 4.1, 1.9, 2.0),
        thing("door", 3.95, 1.2, 4.1, 2, 2.0),
    ]
    house, remarks = read_house(written(tmp_path, twice), seed=0)
    assert len(house.doors) == 1 and remarks == ()


def test_the_plan_is_turned_and_not_mirrored(tmp_path):
    nodes = [
        room(0, 0, 6, 4),
        thing("sofa", 4, 0.1, 5.9, 1.0),
        thing("tv", 0.1, 3, 0.3, 3.9),
        thing("bin", 0, 0, 0.3, 0.3),
    ]
    house, _ = read_house(written(tmp_path, nodes), seed=0)
    sofa, tv, bin_ = (np.array(piece.footprint.centre) for piece in house.pieces)
    # In the file, seen from above (against y), x to z is a quarter turn clockwise: from the bin, sofa to television.
    (ax, ay), (bx, by) = sofa - bin_, tv - bin_
    assert ax * by - ay * bx < 0
    assert sofa == pytest.approx((0.06 + 4.95, 4.06 - 0.55)) and tv == pytest.approx((0.06 + 0.2, 4.06 - 3.45))


def test_one_plan_is_furnished_in_many_looks_each_the_same_every_time():
    first, second, again = (read_house(EXAMPLE, seed)[0] for seed in (1, 2, 1))
    assert first == again
    walls = [[house.materials[room.wall_materials[0]] for room in house.rooms] for house in (first, second)]
    furniture = [[house.materials[piece.parts[0].material] for piece in house.pieces] for house in (first, second)]
    assert walls[0] != walls[1] and furniture[0] != furniture[1]
    assert [piece.footprint for piece in first.pieces] == [piece.footprint for piece in second.pieces]
    assert first.walls == second.walls and first.doors != ()


def test_walks_through_a_house_file_keep_clear_and_its_pictures_show_its_furniture():
    house, _ = read_house(EXAMPLE, seed=3)
    walks = make_walks(house, 0, 4, WalkConfig())
    space = walkable(house)
    for walk in walks:
        clear = space.clearance(walk[:, :2].astype(float), blocking_height(walk[0, 2]))
        assert clear.min() >= ROBOT_RADIUS
    assert {house.room_at(x, y) for walk in walks for x, y in walk[:, :2]} == set(range(5))
    with HousePictures(64, 64, 60.0) as camera:
        camera.load(house)
        seen = set(np.unique(camera.take(np.concatenate(walks)[::5]).objects).tolist())
    assert {CLASS_IDS[name] for name in ("wall", "floor", "door", "window", "sofa", "bed", "counter", "shelf")} <= seen


def test_things_of_known_and_unknown_names_fill_their_boxes(tmp_path):
    names = [name for name in SHAPES if name != "door"]
    things = [
        thing(
            f"my_{name.replace(' ', '_')}_{i}", 1 + 2 * (i % 7), 1 + 2 * (i // 7), 2 + 2 * (i % 7), 1.6 + 2 * (i // 7)
        )
        for i, name in enumerate([*names, "s__4711"])
    ]
    house, _ = read_house(written(tmp_path, [room(0, 0, 16, 14), *things]), seed=0)
    assert [piece.name for piece in house.pieces] == [*names, "unknown"]
    for piece in house.pieces:
        low, high = (np.array([getattr(part, end) for part in piece.parts]) for end in ("low", "high"))
        r = piece.footprint
        assert (*low.min(axis=0), *high.max(axis=0)) == pytest.approx((r.x0, r.y0, 0.0, r.x1, r.y1, 0.8), abs=0.06)
        assert (low >= (r.x0, r.y0, 0.0)).all() and (high <= (r.x1, r.y1, 0.8)).all() and (low < high).all()
        assert piece.parts[0].class_id == CLASS_IDS.get(piece.name, 0)


def test_classes_are_found_in_words():
    assert (
        class_of("Chair_01") == "chair"
        and class_of("kitchenSink") == "sink"
        and class_of("DINING_TABLES.002") == "table"
    )
    assert class_of("bath_mat") == "carpet" and class_of("tableLamp") == "lamp" and class_of("TVStand") == "cupboard"
    assert class_of("Cube.001", None, 7, "old sofa") == "sofa"
    assert class_of("s__123") is class_of("") is class_of() is None
    assert all(class_of(name) == name for name in CLASS_NAMES[1:])


def changed(change):
    nodes = copy.deepcopy(NODES)
    change(nodes)
    return nodes


def set_box(index, end, value):
    return lambda nodes: nodes[index]["bbox"].__setitem__(end, value)


FAULTS = {
    "no bbox": (lambda nodes: nodes[1].pop("bbox"), "node 1 (Room): no bbox", 4),
    "NaN": (set_box(1, "max", [9, float("nan"), 3]), "node 1 (Room): bbox holds what is no number", 4),
    "too few numbers": (set_box(1, "max", [9, 3]), "node 1 (Room): no bbox with min and max of three numbers", 4),
    "text": (set_box(1, "max", ["9", "2.6", "3.4"]), "node 1 (Room): bbox holds numbers as text; read", 5),
    "words": (set_box(1, "max", ["wide", 2.6, 3.4]), "node 1 (Room): bbox holds what is no number", 4),
    "a number of 400 digits": (
        set_box(1, "max", [10**400, 2.6, 3.4]),
        "node 1 (Room): bbox holds what is no number",
        4,
    ),
    "upside down": (
        lambda nodes: nodes[1].update(bbox={"min": [9, 2.6, 3.4], "max": [5.1, 0, 0]}),
        "node 1 (Room): bbox.min is above bbox.max; exchanged",
        5,
    ),
    "no area": (set_box(4, "max", [9, 2.6, 3.5]), "node 4 (Room 'Bathroom'): 3.90 x 0.00 m, no area", 4),
    "no height": (set_box(4, "max", [9, 0.1, 5.6]), "node 4 (Room 'Bathroom'): 0.10 m high; taken as 2.6 m", 5),
    "10 km": (
        set_box(4, "max", [10_000, 2.6, 5.6]),
        "node 4 (Room 'Bathroom'): 9995 x 2 m, where a room has at most",
        4,
    ),
    "far away": (
        lambda nodes: nodes[4].update(bbox={"min": [9000, 0, 0], "max": [9004, 2.6, 4]}),
        "the rooms spread over 9004 x 8 m",
        4,
    ),
    "overlap": (set_box(1, "min", [3.0, 0, 0]), "node 0 (Room 'Living_Room') overlaps node 1 (Room 'Bedroom'); cut", 5),
    "the same twice": (set_box(1, "min", [9, 0, 0]), "node 1 (Room 'Bedroom'): 0.00 x 3.40 m, no area for a room", 4),
    "no node": (lambda nodes: nodes.append(7), "node 22: expected an object with type and bbox, found int", 5),
    "outside": (
        lambda nodes: nodes.append(thing("vase", 50, 50, 51, 51)),
        "node 22 (Object 'vase'): in no room; left out",
        5,
    ),
    "a door in no wall": (
        lambda nodes: nodes.append(thing("door", 2, 2, 3, 2.1, 2.0)),
        "node 22 (Object 'door'): a door, but in no wall; left out",
        5,
    ),
    "a second level": (
        lambda nodes: nodes.append({"type": "Room", "bbox": {"min": [0, 3, 0], "max": [4, 5.5, 4]}}),
        "2 levels: taken is the one with most rooms (5, floor at 0.00 m)",
        5,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_in_a_file_is_named_and_the_rest_is_used(tmp_path, fault):
    change, remark, rooms = FAULTS[fault]
    house, remarks = read_house(written(tmp_path, changed(change)), seed=0)
    assert any(line.startswith(remark) for line in remarks), remarks
    assert all("\n" not in line for line in remarks)
    assert len(house.rooms) == rooms
    assert make_walks(house, 0, 1, WalkConfig())[0].shape == (300, 5)


def test_fields_can_be_missing(tmp_path):
    bare = [
        {"roomTypes": None, "bbox": node["bbox"]} if node["type"] == "Room" else {"bbox": node["bbox"]}
        for node in NODES
    ]
    house, _ = read_house(written(tmp_path, bare), seed=0)
    assert [room.name for room in house.rooms] == ["room"] * 5 and reached_rooms(house) == set(range(5))
    assert {piece.name for piece in house.pieces} == {"unknown"}


def test_levels_of_a_file_are_told_apart(tmp_path):
    levels = {"levels": [{"nodes": NODES[:1]}, {"nodes": NODES}, {}]}
    assert read_house(written(tmp_path, levels), 0) == read_house(EXAMPLE, 0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", "expected a JSON list of nodes, found int"),
        ("[]", "no rooms"),
        (NODES[5:], "no rooms"),
        ([{"type": "Room"}], "no rooms: .*node 0 .Room.: no bbox"),
        ([room(0, 0, 10_000, 10_000)], "no room that can be used; node 0 .Room.: 10000 x 10000 m"),
        ([room(0, 0, 0.8, 0.8)], "no free space: in none of its rooms \\(1\\) is a circle of 0.4 m radius"),
        ([room(0, 0, 4, 4), thing("box", -1, -1, 5, 5)], "no free space"),
        ([room(0, 0, 4, 4)] * 20_001, "20001 nodes: a house file has at most 20000"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused_in_one_line(tmp_path, content, complaint):
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=complaint) as refusal:
        read_house(path, seed=0)
    assert str(refusal.value).startswith(f"{path}: ") and "\n" not in str(refusal.value)


def test_files_that_are_none_are_refused(tmp_path):
    for path in (tmp_path / "missing.json", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError, match=str(path)):
            read_house(path, seed=0)


def random_plan(draws):
    """Rooms and things anywhere: touching, overlapping, apart, within each other."""
    nodes = []
    for _ in range(draws.randint(1, 8)):
        x, z = draws.uniform(0, 9), draws.uniform(0, 9)
        nodes.append(room(x, z, x + draws.uniform(0.3, 5), z + draws.uniform(0.3, 5)))
    for _ in range(draws.randint(0, 30)):
        x, z, name = draws.uniform(-1, 12), draws.uniform(-1, 12), draws.choice(["door", "window", "bed", "chair", "x"])
        nodes.append(thing(name, x, z, x + draws.uniform(0, 2), z + draws.uniform(0, 2), draws.uniform(0, 3)))
    return nodes


def test_of_any_plan_the_house_is_sound(tmp_path):
    usable = 0
    for seed in range(150):
        try:
            house, _ = read_house(written(tmp_path, random_plan(random.Random(seed))), seed)
        except UserError:
            continue
        usable += 1
        assert house.bounds.x0 == house.bounds.y0 == 0.0
        for number, one in enumerate(house.rooms):
            assert not any(one.cell.overlaps(other.cell) for other in house.rooms[number + 1 :]), seed
            assert min(one.inner.width, one.inner.depth) > 0.4
        for piece in house.pieces:
            assert house.rooms[piece.room].inner.contains(piece.footprint), (seed, piece.name)
        for number, one in enumerate(house.openings):
            assert not any(
                (one.axis, one.at) == (other.axis, other.at) and one.start < other.end and other.start < one.end
                for other in house.openings[number + 1 :]
            ), seed
        walls = [box(wall.x0, wall.y0, wall.x1, wall.y1) for wall in house.walls]
        for door in house.doors:
            assert None not in door.rooms and door.end - door.start > 0.79
            low, high = (door.at - 0.06, door.start), (door.at + 0.06, door.end)
            hole = box(*low, *high) if door.axis == "x" else box(*low[::-1], *high[::-1])
            assert not any(wall.intersection(hole).area > 1e-6 for wall in walls), seed
    assert usable > 100
