"""What a camera can see of a house, found on the plan: so that little that is hidden has to be drawn.

Walls reach the ceiling, so what no line on the plan reaches, no ray reaches. A camera sees its own room and, through
the doors in its field of view, further rooms, each within a *wedge*: the directions between two unit vectors, right and
left.
"""

from math import cos, hypot, sin

import numpy as np

WIDENING = 0.02  # radians: added to the field of view on each side against rounding
WIDEST = 1.5  # radians: a half field of view beyond which everything is drawn
IN_THE_DOOR = 0.1  # metres from a door's line within which it hides nothing


def chunks_in_view(house, chunk_rooms, chunk_areas, poses, tangent_x, tangent_y):
    """Which chunks of a house to draw for camera poses (f, 5): bool (f, c).

    Chunk c lies within the rectangle chunk_areas[c] (x0, y0, x1, y1) and is seen with room chunk_rooms[c]. tangents are
    those of half the field of view.
    """
    wedges, all_round = room_wedges(house, poses, tangent_x, tangent_y)
    wedges = wedges[:, chunk_rooms]  # f c 2 2
    corners_x, corners_y = chunk_areas[:, [0, 2, 2, 0]], chunk_areas[:, [1, 1, 3, 3]]
    x, y = corners_x - poses[:, 0, None, None], corners_y - poses[:, 1, None, None]  # f c 4
    (right_x, right_y), (left_x, left_y) = (np.moveaxis(wedges[:, :, side, :, None], 2, 0) for side in (0, 1))
    left_of_right = (right_x * y - right_y * x > 0).any(axis=2)  # false where the wedge is NaN: the room is not seen
    right_of_left = (x * left_y - y * left_x > 0).any(axis=2)
    return (left_of_right & right_of_left) | all_round[:, None]


def room_wedges(house, poses, tangent_x, tangent_y):
    """The wedge within which each room is seen, (f, rooms, 2, 2): right and left; NaN where it is not.

    Also bool (f,): whether the camera is in no room or looks so far up or down that it sees all round.
    """
    doors = [[] for _ in house.rooms]
    for door in house.doors:
        ends = (
            ((door.at, door.start), (door.at, door.end))
            if door.axis == "x"
            else ((door.start, door.at), (door.end, door.at))
        )
        low, high = door.rooms
        doors[low].append((high, *ends))
        doors[high].append((low, *ends))
    halves = half_angles(poses[:, 4], tangent_x, tangent_y)
    wedges, all_round = np.full((len(poses), len(house.rooms), 2, 2), np.nan), halves >= WIDEST
    for frame, ((x, y, _, yaw, _), half) in enumerate(zip(poses.tolist(), halves.tolist(), strict=True)):
        room = house.room_at(x, y)
        if room is None or all_round[frame]:
            all_round[frame] = True
            continue
        found = {room: ((cos(yaw - half), sin(yaw - half)), (cos(yaw + half), sin(yaw + half)))}
        look_through(doors, [room], x, y, *found[room], found)
        for seen, wedge in found.items():
            wedges[frame, seen] = wedge
    return wedges, all_round


def half_angles(pitch, tangent_x, tangent_y):
    """Half of the angle on the plan that a camera with this pitch covers, radians; pi and more if it sees all round."""
    pitch = np.abs(pitch)
    ahead = np.cos(pitch) - tangent_y * np.sin(pitch)
    return np.where(ahead > 0.05, np.arctan2(tangent_x, np.maximum(ahead, 0.05)), np.pi) + WIDENING


def look_through(doors, way, x, y, right, left, found):
    """Add to `found` the wedges of the rooms behind the doors of a way's last room, as far as a wedge reaches them.

    A line meets a convex room once, so rooms on the way are not entered again.
    """
    for behind, (x0, y0), (x1, y1) in doors[way[-1]]:
        if behind in way:
            continue
        wedge = narrow(x0 - x, y0 - y, x1 - x, y1 - y, right, left)
        if wedge is not None:
            found[behind] = hull(found[behind], wedge) if behind in found else wedge
            look_through(doors, [*way, behind], x, y, *wedge, found)


def narrow(ax, ay, bx, by, right, left):
    """The part of a wedge that goes through the line from a to b, as seen from 0; None if none does."""
    distance = abs(ax * by - ay * bx) / hypot(bx - ax, by - ay)
    if distance < IN_THE_DOOR:
        near_the_door = min(hypot(ax, ay), hypot(bx, by)) < hypot(bx - ax, by - ay)
        return (right, left) if near_the_door else None
    if cross((ax, ay), (bx, by)) < 0:
        ax, ay, bx, by = bx, by, ax, ay  # now b is to the left of a
    new_right = unit(ax, ay) if cross(right, (ax, ay)) > 0 else right
    new_left = unit(bx, by) if cross((bx, by), left) > 0 else left
    middle = right[0] + left[0], right[1] + left[1]
    ahead = min(side[0] * middle[0] + side[1] * middle[1] for side in (new_right, new_left)) > 0
    return (new_right, new_left) if ahead and cross(new_right, new_left) > 0 else None


def hull(wedge, other):
    """The wedge that holds two wedges of the same field of view."""
    right = wedge[0] if cross(wedge[0], other[0]) > 0 else other[0]
    left = other[1] if cross(wedge[1], other[1]) > 0 else wedge[1]
    return right, left


def cross(a, b):
    """Positive if the direction b is to the left of a."""
    return a[0] * b[1] - a[1] * b[0]


def unit(x, y):
    """The direction of a vector."""
    length = hypot(x, y)
    return x / length, y / length
