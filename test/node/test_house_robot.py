"""The simulated robot without ROS: how it moves, what its odometry says, its parameters and its clock."""

import dataclasses
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml

from placenet_ros.node.house_robot import (
    CAMERA_AHEAD,
    ROBOT_RADIUS,
    CommandedDrive,
    HouseRobot,
    Limits,
    Motion,
    PathDrive,
    Ticks,
    WheelOdometry,
    camera_in_house,
)
from placenet_ros.node.house_robot_node import make_robot
from placenet_ros.node.house_robot_outputs import camera_mount, pinhole
from placenet_ros.node.house_robot_parameters import RobotParameters
from placenet_ros.node.house_robot_place import PlaceError, open_place
from placenet_ros.node.parameters import ParameterError

CONFIG = Path(__file__).resolve().parents[2] / "config" / "house_robot.yaml"
STEP = 0.02  # seconds
LIMITS = Limits(speed=0.7, turn_rate=1.5, acceleration=1.0, turn_acceleration=3.0)
TIMEOUT = 0.5
ORIGIN = Motion(0.0, 0.0, 0.0)
WALL_X = 2.0


def nothing_near(x, y):
    return math.inf


def wall_ahead(x, y):
    return max(WALL_X - x, 0.0)


class StraightPath:
    """1 m along x from x = begin, then a turn on the spot by 1 rad and back."""

    def __init__(self, begin):
        self.knots = np.array(
            [[begin, 0.0, 0.0], [begin + 1.0, 0.0, 0.0], [begin + 1.0, 0.0, 1.0], [begin + 1.0, 0.0, 0.0]]
        )

    def times(self, speed, turn_rate):
        return np.cumsum([0.0, 1.0 / speed, 1.0 / turn_rate, 1.0 / turn_rate])

    def at(self, times, speed, turn_rate):
        knot_times = self.times(speed, turn_rate)
        return np.stack([np.interp(times, knot_times, column) for column in self.knots.T], axis=1)


def path_drive():
    return PathDrive(map(StraightPath, itertools.count()), 0.5, 0.8)


def robot(drive, clearance=nothing_near, noise=0.0, seed=0):
    path = path_drive()
    commanded = CommandedDrive(path.motion, LIMITS, clearance, TIMEOUT)
    return HouseRobot(drive, path, commanded, WheelOdometry(path.motion, noise, seed))


def advanced(moving, seconds, command=None):
    """All that it says on the way; the command is given anew at each step."""
    said = []
    for _ in range(round(seconds / STEP)):
        if command is not None:
            moving.command(*command)
        said.append(moving.advance(STEP))
    return said


# ---- Commands


def test_robot_gains_speed_within_its_limits_and_keeps_to_what_is_commanded():
    base = CommandedDrive(ORIGIN, LIMITS, nothing_near, TIMEOUT)
    motions = [ORIGIN, *advanced(base, 2.0, (0.4, 0.3))]
    speeds, turn_rates = np.array([m.speed for m in motions]), np.array([m.turn_rate for m in motions])
    assert np.diff(speeds).max() <= LIMITS.acceleration * STEP + 1e-9
    assert np.diff(turn_rates).max() <= LIMITS.turn_acceleration * STEP + 1e-9
    assert (speeds[-1], turn_rates[-1]) == pytest.approx((0.4, 0.3))
    # 2 s of it, less what gaining speed costs
    assert motions[-1].heading == pytest.approx(0.3 * (2.0 - 0.3 / LIMITS.turn_acceleration / 2), abs=0.01)
    way = sum(math.dist(a[:2], b[:2]) for a, b in zip(motions, motions[1:]))
    assert way == pytest.approx(0.4 * (2.0 - 0.4 / LIMITS.acceleration / 2), abs=0.01)
    faster = advanced(base, 2.0, (9.0, -9.0))[-1]
    assert (faster.speed, faster.turn_rate) == pytest.approx((LIMITS.speed, -LIMITS.turn_rate))


def test_robot_moves_along_its_heading_on_a_circle():
    base = CommandedDrive(ORIGIN, LIMITS, nothing_near, TIMEOUT)
    for motion in advanced(base, 8.0, (0.4, 0.8))[100:]:  # once it has both speeds
        centre = motion.x - 0.5 * math.sin(motion.heading), motion.y + 0.5 * math.cos(motion.heading)
        assert (
            math.dist(
                centre,
                (
                    base.motion.x - 0.5 * math.sin(base.motion.heading),
                    base.motion.y + 0.5 * math.cos(base.motion.heading),
                ),
            )
            < 1e-3
        )


def test_robot_stops_when_no_command_comes_any_more():
    base = CommandedDrive(ORIGIN, LIMITS, nothing_near, TIMEOUT)
    base.command(0.5, 0.0)
    speeds = [motion.speed for motion in advanced(base, 1.5)]
    assert speeds[round(TIMEOUT / STEP) - 1] == pytest.approx(0.5)
    assert speeds[-1] == 0.0


@pytest.mark.parametrize("heading", [0.0, 0.5, -1.0])
def test_robot_stops_before_a_wall_and_can_leave_it_again(heading):
    base = CommandedDrive(Motion(0.0, 0.0, heading), LIMITS, wall_ahead, TIMEOUT)
    motions = advanced(base, 12.0, (0.7, 0.0))
    assert min(WALL_X - motion.x for motion in motions) >= ROBOT_RADIUS
    assert WALL_X - motions[-1].x == pytest.approx(ROBOT_RADIUS, abs=0.005)
    assert motions[-1].speed == 0.0
    assert advanced(base, 0.5, (-0.3, 0.0))[-1].x < motions[-1].x - 0.02
    assert advanced(base, 1.0, (0.0, 1.0))[-1].turn_rate == pytest.approx(1.0)


def test_robot_that_begins_too_near_to_something_comes_out():
    base = CommandedDrive(Motion(WALL_X - 0.1, 0.0, 0.0), LIMITS, wall_ahead, TIMEOUT)
    assert advanced(base, 1.0, (0.5, 0.0))[-1].x == WALL_X - 0.1
    assert advanced(base, 2.0, (-0.5, 0.0))[-1].x < WALL_X - ROBOT_RADIUS


# ---- Paths


def test_path_is_driven_without_end_at_its_speeds():
    readings = advanced(robot("path"), 28.0)
    motions = [reading.motion for reading in readings]
    assert max(motion.speed for motion in motions) == pytest.approx(0.5)
    assert max(abs(motion.turn_rate) for motion in motions) == pytest.approx(0.8, rel=0.02)
    assert motions[-1].x == pytest.approx(6.5)  # a path takes 2 s of driving and 2.5 s of turning


def test_auto_follows_its_path_until_the_first_command_and_then_commands_alone():
    driven = robot("auto")
    assert advanced(driven, 1.0)[-1].motion.x == pytest.approx(0.5)
    before = driven.motion
    after = advanced(driven, STEP, (-0.5, 0.0))[0].motion
    assert math.dist(before[:2], after[:2]) < 0.5 * STEP and after.speed > 0  # no jump: it brakes
    advanced(driven, 3.0)
    stands = driven.motion
    advanced(driven, 1.0)
    assert driven.motion == stands


@pytest.mark.parametrize("drive, command", [("cmd_vel", None), ("path", (-0.5, 0.0))])
def test_drive_decides_what_moves_the_robot(drive, command):
    driven = robot(drive)
    advanced(driven, 1.0, command)
    assert driven.motion.x == pytest.approx(0.0 if drive == "cmd_vel" else 0.5)


# ---- Odometry


def wandering(noise, seed):
    """Truth and readings of 20 s of driving about."""
    driven = robot("cmd_vel", noise=noise, seed=seed)
    truth, readings = [driven.motion], []
    for number in range(1000):
        driven.command(0.6, math.sin(number / 100))
        readings.append(driven.advance(STEP))
        truth.append(driven.motion)
    return truth[1:], readings


def test_odometry_without_noise_is_the_truth_seen_from_where_it_began():
    begin = Motion(3.0, -2.0, 2.0)
    odometry = WheelOdometry(begin, 0.0, 0)
    base = CommandedDrive(begin, LIMITS, nothing_near, TIMEOUT)
    for number in range(500):
        base.command(0.6, math.sin(number / 50))
        reading = odometry.advance(base.advance(STEP))
    cos, sin = math.cos(begin.heading), math.sin(begin.heading)
    x, y = reading.motion.x, reading.motion.y
    seen = begin.x + cos * x - sin * y, begin.y + sin * x + cos * y, begin.heading + reading.motion.heading
    assert seen == pytest.approx(base.motion[:3], abs=1e-9)
    assert not reading.covariance.any()


def test_odometry_drifts_as_much_as_its_covariance_says():
    errors, covariances = [], []
    for seed in range(60):
        truth, readings = wandering(0.05, seed)
        errors.append(np.subtract(readings[-1].motion[:3], truth[-1][:3]))
        covariances.append(readings[-1].covariance)
    told = np.sqrt(np.diag(np.mean(covariances, axis=0)))
    found = np.sqrt(np.mean(np.square(errors), axis=0))
    assert (found > 0.7 * told).all() and (found < 1.4 * told).all()
    # 12 m and some radians: the error of the heading, by the definition of noise
    turned = sum(abs(b.heading - a.heading) for a, b in zip(truth, truth[1:]))
    assert told[2] == pytest.approx(0.05 * math.sqrt(0.6 * 20 + turned), rel=0.05)


def test_odometry_of_a_robot_that_stands_does_not_drift():
    driven = robot("cmd_vel", noise=0.1)
    assert advanced(driven, 5.0)[-1].motion == ORIGIN


def test_odometry_errors_are_the_same_for_a_seed():
    (_, one), (_, same), (_, other) = wandering(0.05, 1), wandering(0.05, 1), wandering(0.05, 2)
    assert one[-1].motion == same[-1].motion != other[-1].motion


# ---- Places


def house_file(folder, size):
    """Two rooms of a size (metres) side by side with a table in one, as House-Traveler takes it: y up, y-z swapped."""
    rooms = [
        {"type": "Room", "roomTypes": [name], "bbox": {"min": [x, 0, 0], "max": [x + size, 2.6, size]}}
        for name, x in (("Kitchen", 0.0), ("Bedroom", size + 0.1))
    ]
    table = {"type": "Object", "label": "table", "bbox": {"min": [1, 0, 1], "max": [2, 0.7, 2]}}
    path = folder / "house.json"
    path.write_text(json.dumps([*rooms, table]))
    return path


def scene_file(folder, size):
    """A room of a size (metres) on a floor 3 m up, with a pillar in it."""
    slabs = {(size, size, 0.1): (0, 0, -0.05), (0.4, 0.4, 2.5): (0, 0, 1.25)}
    for side in (-1, 1):
        slabs[(0.1, size, 2.5 + side / 100)] = (side * size / 2, 0, 1.25)
        slabs[(size, 0.1, 2.5 + side / 100)] = (0, side * size / 2, 1.25)
    boxes = [trimesh.creation.box(extents).apply_translation(at) for extents, at in slabs.items()]
    path = folder / "scene.ply"
    trimesh.util.concatenate(boxes).apply_translation((0, 0, 3.0)).export(path)
    return path


@pytest.mark.parametrize("kind", ["seed", "plan", "scene"])
def test_robot_drives_about_in_houses_of_seeds_and_in_files_and_hits_nothing(tmp_path, kind):
    values = {"plan": str(house_file(tmp_path, 4.0)), "scene": str(scene_file(tmp_path, 4.0)), "seed": 3}
    parameters = RobotParameters.from_dictionary({kind: values[kind], "scene_up": "z"})
    place = open_place(parameters)
    driven = make_robot(parameters, place)
    motions = []
    for _ in range(3000):
        driven.advance(STEP)
        motions.append(driven.motion)
    assert min(place.clearance(motion.x, motion.y) for motion in motions[::5]) >= ROBOT_RADIUS
    assert np.ptp([motion[:2] for motion in motions], axis=0).min() > 1.0
    assert max(math.dist(a[:2], b[:2]) for a, b in zip(motions, motions[1:])) < 0.5 * STEP + 1e-9
    assert place.floor == pytest.approx(3.0 if kind == "scene" else 0.0, abs=0.05)


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"plan": "house.json"}, r"~plan is 'house.json': give its whole path, for instance plan:=\$PWD/house.json"),
        ({"plan": "/nowhere.json"}, "/nowhere.json: cannot be read: No such file"),
        ({"scene": "/nowhere.glb"}, "/nowhere.glb"),
    ],
)
def test_place_that_cannot_be_had_is_an_error_that_names_the_file(values, complaint):
    with pytest.raises(PlaceError, match=complaint):
        open_place(RobotParameters(**values))


@pytest.mark.parametrize("kind, write", [("plan", house_file), ("scene", scene_file)])
def test_place_too_narrow_for_a_robot_is_an_error_that_says_so(tmp_path, kind, write):
    parameters = RobotParameters.from_dictionary({kind: str(write(tmp_path, 0.9)), "scene_up": "z"})
    with pytest.raises(PlaceError, match="no (free|walkable) space"):
        make_robot(parameters, open_place(parameters))


def test_place_too_low_for_the_camera_is_an_error_that_says_so(tmp_path):
    path = house_file(tmp_path, 2.0)
    nodes = json.loads(path.read_text())
    low = [{"type": "Object", "bbox": {"min": [x, 1.0, 0.0], "max": [x + 2.0, 1.5, 2.0]}} for x in (0.0, 2.1)]
    path.write_text(json.dumps(nodes[:2] + low))
    make_robot(RobotParameters(), open_place(RobotParameters(plan=str(path), camera_height=0.5)))
    with pytest.raises(PlaceError, match="house.json: no free space"):
        make_robot(RobotParameters(), open_place(RobotParameters(plan=str(path), camera_height=1.2)))


def test_missing_houses_are_an_error_that_says_what_to_source(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "training", None)
    with pytest.raises(PlaceError, match="`source env.sh`"):
        open_place(RobotParameters())


# ---- Camera


def test_camera_sits_where_its_mount_says():
    motion, height, pitch = Motion(1.0, 2.0, 0.7), 0.8, -0.2
    x, y, z, yaw, tilt = camera_in_house(motion, height, pitch)
    mount = camera_mount(height, pitch)
    turn = np.array([[math.cos(0.7), -math.sin(0.7), 0], [math.sin(0.7), math.cos(0.7), 0], [0, 0, 1]])
    assert turn @ mount.position + (1.0, 2.0, 0.0) == pytest.approx((x, y, z))
    assert math.dist((x, y), (1.0, 2.0)) == pytest.approx(CAMERA_AHEAD)
    ahead = math.cos(tilt) * math.cos(yaw), math.cos(tilt) * math.sin(yaw), math.sin(tilt)
    assert turn @ mount.rotation()[:, 2] == pytest.approx(ahead)


def test_camera_has_the_field_of_view_that_is_set():
    camera = pinhole(320, 240, 1.35)
    assert 2 * math.atan(160 / camera.fx) == pytest.approx(1.35)
    assert (camera.fx, camera.cx, camera.cy) == (camera.fy, 159.5, 119.5)


# ---- Time


def test_steps_follow_the_clock_and_make_up_for_short_delays():
    ticks = Ticks(period=20, patience=500)
    assert ticks.due(1000) == [1000]
    assert ticks.due(1015) == []
    assert ticks.due(1065) == [1020, 1040, 1060]
    assert ticks.due(1560)[-1] == 1560


@pytest.mark.parametrize("now", [100, 10_000])
def test_steps_go_on_from_where_time_has_jumped_to(now):
    ticks = Ticks(period=20, patience=500)
    ticks.due(1000)
    assert ticks.due(now) == [now]
    assert ticks.due(now + 20) == [now + 20]


# ---- Parameters


def test_yaml_file_has_every_parameter_with_its_default_and_explains_it():
    lines, values = CONFIG.read_text().splitlines(), yaml.safe_load(CONFIG.read_text())
    assert list(values) == [entry.name for entry in dataclasses.fields(RobotParameters)]
    assert RobotParameters.from_dictionary(values) == RobotParameters()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[number - 1].startswith("# "), f"no comment above {line}"


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"sed": 1}, "unknown parameter ~sed; the nearest is ~seed .*config/house_robot.yaml"),
        ({"seed": -1}, "~seed must be at least 0, found -1"),
        ({"image_rate": 0}, "~image_rate must be at least 0.1, found 0"),
        ({"image_width": 5000}, "~image_width must be at most 1920, found 5000"),
        ({"scene_up": "w"}, "~scene_up must be one of auto, x, y, z, found 'w'"),
        ({"drive": "fly"}, "~drive must be one of auto, path, cmd_vel, found 'fly'"),
        ({"plan": "/a.json", "scene": "/b.glb"}, "~plan and ~scene are both given"),
    ],
)
def test_impossible_values_are_errors_that_say_what_was_expected(values, complaint):
    with pytest.raises(ParameterError, match=complaint):
        RobotParameters.from_dictionary(values)
