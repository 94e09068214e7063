"""Which rooms a camera can see into: its own, and on through the doors in its field of view.

A test on the plan: walls reach the ceiling, so what no line on the plan reaches, no ray reaches.
"""

from math import cos, hypot, sin

import numpy as np

WIDENING = 0.02  # radians: added to the field of view on each side against rounding
IN_THE_DOOR = 0.1  # metres from a door's line within which it hides nothing


def visible_rooms(house, poses, tangent_x, tangent_y):
    """For each camera pose (f, 5), the rooms to draw, nearest first (a list of lists); all if it is in no room."""
    doors = [[] for _ in house.rooms]
    for door in house.doors:
        ends = ((door.at, door.start), (door.at, door.end)) if door.axis == "x" else ((door.start, door.at), (door.end, door.at))
        low, high = door.rooms
        doors[low].append((high, *ends))
        doors[high].append((low, *ends))
    halves = half_angles(poses[:, 4], tangent_x, tangent_y)
    seen = []
    for (x, y, _, yaw, _), half in zip(poses.tolist(), halves.tolist()):
        room = house.room_at(x, y)
        if room is None or half >= 1.5:
            seen.append(range(len(house.rooms)))
            continue
        left, right = yaw + half, yaw - half
        wedge = (cos(right), sin(right)), (cos(left), sin(left))
        found = [room]
        look_through(doors, [room], x, y, *wedge, found)
        seen.append(found)
    return seen


def half_angles(pitch, tangent_x, tangent_y):
    """Half of the angle on the plan that a camera with this pitch covers, radians; pi/2 and more where it sees all round."""
    pitch = np.abs(pitch)
    ahead = np.cos(pitch) - tangent_y * np.sin(pitch)
    return np.where(ahead > 0.05, np.arctan2(tangent_x, np.maximum(ahead, 0.05)), np.pi) + WIDENING


def look_through(doors, way, x, y, right, left, found):
    """Add to `found` the rooms behind the doors of a way's last room that lie within the wedge between two directions.

    A line meets a convex room once, so rooms on the way are not entered again.
    """
    for behind, (x0, y0), (x1, y1) in doors[way[-1]]:
        if behind in way:
            continue
        narrowed = narrow(x0 - x, y0 - y, x1 - x, y1 - y, right, left)
        if narrowed is not None:
            if behind not in found:
                found.append(behind)
            look_through(doors, [*way, behind], x, y, *narrowed, found)


def narrow(ax, ay, bx, by, right, left):
    """The part of a wedge (two unit vectors) that goes through the line from a to b, seen from 0; None if none does."""
    cross = ax * by - ay * bx
    length = hypot(bx - ax, by - ay)
    if abs(cross) < IN_THE_DOOR * length:
        near_the_door = min(hypot(ax, ay), hypot(bx, by)) < length
        return (right, left) if near_the_door else None
    if cross < 0:
        ax, ay, bx, by = bx, by, ax, ay  # now b is to the left of a
    new_right = unit(ax, ay) if right[0] * ay - right[1] * ax > 0 else right
    new_left = unit(bx, by) if bx * left[1] - by * left[0] > 0 else left
    middle = right[0] + left[0], right[1] + left[1]
    ahead = min(side[0] * middle[0] + side[1] * middle[1] for side in (new_right, new_left)) > 0
    inside = new_right[0] * new_left[1] - new_right[1] * new_left[0] > 0
    return (new_right, new_left) if inside and ahead else None


def unit(x, y):
    """The direction of a vector."""
    length = hypot(x, y)
    return x / length, y / length
