"""Walks through houses and other places, and what holds for all of them."""

import hashlib

import numpy as np
import pytest
import shapely
from shapely import LineString, box, prepare
from shapely.ops import unary_union

from training.houses import WalkConfig, make_house, make_walks
from training.houses.free_space import Grid, walkable
from training.houses.walks import find_follower
from training.houses.wall_following import Journey

CARPET_HEIGHT, ROBOT_HEIGHT, ROBOT_RADIUS = 0.15, 0.75, 0.22  # metres
TURNING = slice(143, 156)  # frames in which the robot is where it turns round
HOUSES = range(100)


def obstacle_area(house, top):
    """What blocks the robot, as shapely sees it: walls, and all furniture between carpets and a height."""
    blocking = [piece.footprint for piece in house.pieces if piece.bottom < top and piece.top > CARPET_HEIGHT]
    return unary_union([box(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *blocking]])


def area_of(rectangle):
    """A rectangle for shapely."""
    return box(rectangle.x0, rectangle.y0, rectangle.x1, rectangle.y1)


def top_of(poses):
    """Up to where things block the robot of a walk, metres above the floor."""
    return max(ROBOT_HEIGHT, float(poses[0, 2]) + 0.1)


def steps_of(poses):
    """Metres from frame to frame."""
    return np.hypot(*np.diff(poses[:, :2].astype(float), axis=0).T)


def turns_of(poses):
    """Degrees by which the yaw changes from frame to frame, without sign."""
    return np.degrees(np.abs((np.diff(poses[:, 3].astype(float)) + np.pi) % (2 * np.pi) - np.pi))


class Boxes:
    """A place of rooms side by side along x (width, depth), with open doorways 0.9 m wide between them."""

    class Room:
        name = "room"

    def __init__(self, *sizes, floor_height=0.0):
        self.rooms, self.floor_height, self.free = (self.Room(),) * len(sizes), floor_height, []
        x = 0.2
        for width, depth in sizes:
            self.free += [(x, 0.2, x + width, 0.2 + depth), (x + width, 0.6, x + width + 0.2, 1.5)]
            x += width + 0.2
        self.free.pop()
        self.outline = (x, max(depth for _, depth in sizes) + 0.4)
        self.solid = box(0, 0, *self.outline).difference(unary_union([box(*free) for free in self.free]))
        prepare(self.solid)

    def grid(self, top):
        columns, rows = np.round(np.array(self.outline) / 0.05).astype(int)
        grid = Grid(np.ones((rows, columns), bool), np.full((rows, columns), -1, np.int16), 0.0, 0.0)
        for number, free in enumerate(self.free):
            x0, y0, x1, y1 = np.round(np.array(free) / 0.05).astype(int)
            grid.blocked[y0:y1, x0:x1] = False
            grid.rooms[y0:y1, x0:x1] = number // 2
        return grid

    def clearance(self, points, top):
        return shapely.distance(self.solid, shapely.points(points))


@pytest.fixture(scope="module")
def walks():
    """[(house, its walks)]: as many walks as half of its rooms."""
    config = WalkConfig()
    houses = [make_house(seed) for seed in HOUSES]
    return [(house, make_walks(house, house.seed, (len(house.rooms) + 1) // 2, config)) for house in houses]


def test_a_walk_hits_nothing_between_its_poses_either(walks):
    for house, of_house in walks:
        for poses in of_house:
            obstacles = obstacle_area(house, top_of(poses))
            prepare(obstacles)
            assert LineString(poses[:, :2].astype(float)).distance(obstacles) >= ROBOT_RADIUS, f"house {house.seed}"


def test_a_walk_goes_out_in_steps_of_20_cm_turns_round_and_comes_back_the_same_way(walks):
    for house, of_house in walks:
        for poses in of_house:
            assert poses.shape == (300, 5) and poses.dtype == np.float32
            steps, turns = steps_of(poses), turns_of(poses)
            assert np.abs(np.delete(steps, np.arange(143, 155)) - 0.2).max() <= 0.02, f"house {house.seed}"
            assert steps[143:155].max() == 0.0
            assert turns.max() <= 44.1 and np.abs(turns[143:155] - 15.0).max() < 0.05, f"house {house.seed}"
            assert np.array_equal(poses[155:299, :2], poses[143::-1, :2])
            assert np.abs(np.cos(poses[156:299, 3] - poses[142::-1, 3]) + 1).max() < 1e-6


def test_the_robot_looks_along_its_motion(walks):
    for house, of_house in walks:
        for poses in of_house:
            out = poses[:144].astype(float)
            motion = np.diff(out[:, :2], axis=0)
            off = np.arctan2(motion[:, 1], motion[:, 0]) - out[1:, 3]
            assert np.degrees(np.abs((off + np.pi) % (2 * np.pi) - np.pi)).max() < 24.0, f"house {house.seed}"
            assert 0.2 <= poses[0, 2] <= 1.6 and -15 <= np.degrees(poses[0, 4]) <= 5
            assert np.ptp(poses[:, [2, 4]], axis=0).max() == 0
    heights = np.array([poses[0, 2] for _, of_house in walks for poses in of_house])
    assert heights.min() < 0.25 and heights.max() > 1.55


def reachable_rooms(house):
    """The rooms in which a robot of any height has room to start, with a way from there to the rest of the house."""
    obstacles = obstacle_area(house, 1.7)
    ways = area_of(house.bounds).difference(obstacles.buffer(0.30))
    ways = max(getattr(ways, "geoms", [ways]), key=lambda area: area.area)
    starts = area_of(house.bounds).difference(obstacles.buffer(0.45)).intersection(ways)
    return {number for number, room in enumerate(house.rooms) if area_of(room.inner).intersection(starts).area > 0}


def test_as_many_walks_as_half_its_rooms_visit_every_reachable_room_of_a_house(walks):
    reachable_count, room_count = 0, 0
    for house, of_house in walks:
        places = shapely.points(np.concatenate(of_house)[:, :2].astype(float))
        visited = {n for n, room in enumerate(house.rooms) if shapely.within(places, area_of(room.inner)).any()}
        reachable = reachable_rooms(house)
        assert reachable <= visited, f"house {house.seed}"
        reachable_count, room_count = reachable_count + len(reachable), room_count + len(house.rooms)
    assert reachable_count > 0.9 * room_count


def side_of_the_nearest_wall(place, poses):
    """For the poses that are 0.35 to 0.45 m from a wall: 1 where it is on the right, -1 on the left (k,)."""
    points = poses[:, :2].astype(float)
    near = np.abs(place.clearance(points, 1.0) - 0.4) < 0.05
    right = np.stack([np.sin(poses[near, 3]), -np.cos(poses[near, 3])], axis=1)
    nearer = place.clearance(points[near] + 0.1 * right, 1.0) < place.clearance(points[near] - 0.1 * right, 1.0)
    return np.where(nearer, 1, -1)


def test_a_walk_follows_the_walls_at_40_cm_on_its_right_and_later_ones_on_their_left_too():
    place = Boxes((4.0, 3.0), (3.0, 4.0))
    of_place = make_walks(place, 5, 12, WalkConfig())
    followed = [side_of_the_nearest_wall(place, poses[:144]) for poses in of_place]
    assert min(len(sides) for sides in followed) > 70  # of 144
    assert followed[0].mean() > 0.85
    assert min(sides.mean() for sides in followed) < -0.85


def test_a_walk_that_comes_round_goes_on_to_the_next_room():
    place = Boxes((3.0, 3.0), (3.0, 3.0), (3.0, 3.0))
    first = make_walks(place, 0, 1, WalkConfig())[0][:144]
    rooms = place.grid(1.0).rooms[(first[:, 1] / 0.05).astype(int), (first[:, 0] / 0.05).astype(int)]
    entered = rooms[np.append(True, np.diff(rooms) != 0)]
    assert set(entered.tolist()) == {0, 1, 2} and len(entered) <= 5
    assert min((rooms == room).sum() for room in range(3)) > 15


def test_following_a_wall_stops_at_a_place_visited_before():
    follower = find_follower(Boxes((4.0, 4.0)), 1.0)
    wall = follower.walls[0]
    journey = Journey(follower, follower.walls, [0])
    visited, rest = wall.points[:100], len(wall.points) - 100
    journey.add(visited)
    runs = journey.unvisited_runs(wall)
    ahead = [wall.points[(first + np.arange(run)) % len(wall.points)] for first, run in enumerate(runs) if run]
    assert max(map(len, ahead)) > rest - 15
    assert min(LineString(visited).distance(shapely.points(points)).min() for points in ahead) > 0.25


def test_what_blocks_a_house_is_all_that_stands_between_carpets_and_the_camera():
    depends_on_height = 0
    for seed in range(3):
        house = make_house(seed)
        place, areas = walkable(house), []
        points = np.random.default_rng(seed).uniform(0.0, (house.bounds.x1, house.bounds.y1), (300, 2))
        for top in (ROBOT_HEIGHT, 1.7):
            areas.append(obstacle_area(house, top))
            prepare(areas[-1])
            distances = shapely.distance(areas[-1], shapely.points(points))
            assert np.allclose(place.clearance(points, top), distances, atol=1e-9)
            grid = place.grid(top)
            rows, columns = np.nonzero(np.ones_like(grid.blocked))
            centres = grid.centres(rows, columns)
            blocked = shapely.distance(areas[-1], shapely.points(centres)) < 0.0249  # reaches well into the cell
            assert not (blocked & ~grid.blocked.reshape(-1)).any()
            assert grid.blocked.sum() <= 1.1 * blocked.sum()
        depends_on_height += not areas[0].equals(areas[1])
    assert depends_on_height == 3


def test_walks_are_the_first_of_one_sequence_and_differ_from_each_other():
    house = make_house(11)
    config = WalkConfig(lowest_camera=1.0, highest_camera=1.0)
    four, two = make_walks(house, 3, 4, config), make_walks(house, 3, 2, config)
    assert all(np.array_equal(one, other) for one, other in zip(four[:2], two, strict=True))
    square = make_walks(Boxes((3.0, 3.0)), 3, 8, config)
    assert len({poses[:, :2].tobytes() for poses in square}) == 8
    assert not np.array_equal(four[0], make_walks(house, 4, 1, config)[0])


def test_a_place_and_a_seed_give_the_same_walks_on_every_machine():
    place = Boxes((4.0, 3.0), (1.2, 2.4), (3.5, 4.0))
    digests = {}
    for kind, look in (("house_traveler", "ahead"), ("house_traveler", "around"), ("waypoints", "ahead")):
        poses = np.concatenate(make_walks(place, 1, 3, WalkConfig(kind=kind, look=look)))
        digests[kind, look] = hashlib.sha256(poses.astype("<f4").tobytes()).hexdigest()[:16]
    assert digests == {
        ("house_traveler", "ahead"): "28410db83f8bb2b6",
        ("house_traveler", "around"): "aae9bfe408a1aa47",
        ("waypoints", "ahead"): "066db2e269b02c13",
    }


@pytest.mark.parametrize("size", [(1.0, 1.0), (0.95, 6.0), (1.3, 1.3), (2.0, 1.2)])
def test_a_walk_finds_room_in_a_tiny_place(size):
    place = Boxes(size)
    for poses in make_walks(place, 2, 3, WalkConfig()):
        assert place.solid.distance(LineString(poses[:, :2].astype(float))) >= ROBOT_RADIUS
        assert len(poses) == 300
        assert np.abs(np.delete(steps_of(poses), np.arange(143, 155)) - 0.2).max() <= 0.02
        assert turns_of(poses).max() <= 88.2


@pytest.mark.parametrize("kind", ["house_traveler", "waypoints"])
@pytest.mark.parametrize("place", [Boxes((0.4, 3.0)), Boxes((0.6, 0.6))], ids=["narrow", "small"])
def test_where_a_robot_fits_nowhere_the_error_says_so(kind, place):
    with pytest.raises(ValueError, match="no free space"):
        make_walks(place, 0, 1, WalkConfig(kind=kind))


def test_the_camera_stands_above_the_floor_of_its_place():
    config = WalkConfig(lowest_camera=0.5, highest_camera=0.5, lowest_tilt=-3.0, highest_tilt=-3.0, frames=20)
    poses = make_walks(Boxes((3.0, 3.0), floor_height=2.7), 0, 1, config)[0]
    assert poses.shape == (20, 5)
    assert np.allclose(poses[:, 2], 3.2) and np.allclose(poses[:, 4], np.radians(-3.0), atol=1e-4)


@pytest.mark.parametrize("kind", ["house_traveler", "waypoints"])
def test_a_camera_that_looks_around_sees_all_sides_and_turns_smoothly(kind):
    for seed in range(5):
        house = make_house(seed)
        ahead = make_walks(house, seed, 1, WalkConfig(kind=kind))[0]
        around = make_walks(house, seed, 1, WalkConfig(kind=kind, look="around"))[0]
        assert np.array_equal(ahead[:, [0, 1, 2, 4]], around[:, [0, 1, 2, 4]])
        pan = np.degrees(np.unwrap(around[:, 3].astype(float) - ahead[:, 3]))
        assert np.abs(np.diff(pan)).max() <= 8.05
        assert pan.max() > 45 and pan.min() < -45


def test_a_walk_to_random_places_keeps_clear_moves_like_a_wheeled_base_and_enters_rooms():
    medians = []
    for seed in range(40):
        house = make_house(seed)
        poses = make_walks(house, seed, 1, WalkConfig(kind="waypoints"))[0]
        steps = steps_of(poses)
        assert LineString(poses[:, :2].astype(float)).distance(obstacle_area(house, top_of(poses))) >= ROBOT_RADIUS
        medians.append(np.median(steps))
        assert steps.max() <= 0.2 + 1e-3
        assert turns_of(poses).max() <= 15.0 + 0.1
        motion = np.diff(poses[:, :2], axis=0)
        ahead = np.stack([np.cos(poses[:-1, 3]), np.sin(poses[:-1, 3])], axis=1)
        assert ((motion * ahead).sum(axis=1)[steps > 0.19] > 0.17).all()
        assert len({house.room_at(x, y) for x, y in poses[:, :2]}) >= 2, f"house {seed}"
    assert np.median(medians) > 0.15
