"""Pictures of houses from above: floors, walls, doors, windows and furniture, and the walks through them.

For looking at houses and checking data; what a camera sees is `pictures`' business.
"""

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 3  # the picture is drawn so many times larger and then reduced, for smooth edges
MARGIN = 0.3  # metres around the house
HEAD_HEIGHT = 1.4  # metres; what begins higher (lamps, cupboards on walls, hoods) would hide what stands below
WALK_WIDTH, START_RADIUS = 0.06, 0.16  # metres
EDGE_WIDTH = 0.015  # metres, of the dark outline around parts

BACKGROUND = (255, 255, 255)
WALL = (70, 70, 74)
PANE = (150, 205, 240)
WALKS = ((214, 39, 40), (31, 119, 180), (255, 127, 14), (148, 103, 189), (23, 160, 140), (227, 119, 194))


def draw_above(house, size_pixels, walks=()):
    """The house from above, x to the right and y up, uint8 (size_pixels, size_pixels, 3).

    Floors and furniture have the colours of their materials. Each walk (array (f, 2 or more): x, y in metres first) is
    a coloured line, edged in white, that begins at a dot.
    """
    sheet = Sheet(house.bounds.grown(MARGIN), size_pixels * OVERSAMPLING)
    colours = [seen_colour(material) for material in house.materials]
    for room in house.rooms:
        sheet.box(room.cell, colours[room.floor_material])
    for wall in house.walls:
        sheet.box(wall, WALL)
    for opening in house.openings:
        if opening.kind == "window":
            sheet.line(opening_ends(opening), PANE, 0.07)
    parts = [part for piece in house.pieces for part in piece.parts if part.low[2] < HEAD_HEIGHT]
    for part in sorted(parts, key=lambda part: part.high[2]):
        sheet.part(part, colours[part.material])
    for number, walk in enumerate(walks):
        colour, points = WALKS[number % len(WALKS)], np.asarray(walk, float)[:, :2].tolist()
        sheet.line(points, BACKGROUND, 2 * WALK_WIDTH)
        sheet.line(points, colour, WALK_WIDTH)
        sheet.dot(points[0], colour, START_RADIUS)
    return np.asarray(sheet.image.resize((size_pixels, size_pixels), Image.Resampling.BOX))


def seen_colour(material):
    """The colour (0..255) that a material has from afar."""
    first, second, _ = np.array(material.colours)
    return tuple((255 * (0.75 * first + 0.25 * second)).round().astype(int).tolist())


def opening_ends(opening):
    """The two ends, (x, y), of an opening in the middle of its wall."""
    if opening.axis == "x":
        return (opening.at, opening.start), (opening.at, opening.end)
    return (opening.start, opening.at), (opening.end, opening.at)


class Sheet:
    """A square picture onto which things are drawn in metres; holds a rectangle in its middle."""

    def __init__(self, area, pixels):
        self.image = Image.new("RGB", (pixels, pixels), BACKGROUND)
        self.canvas = ImageDraw.Draw(self.image)
        self.pixels, self.scale = pixels, pixels / max(area.width, area.depth)
        self.centre = area.centre

    def at(self, x, y):
        """The pixel position of a point."""
        middle = self.pixels / 2
        return middle + (x - self.centre[0]) * self.scale, middle - (y - self.centre[1]) * self.scale

    def box(self, rectangle, colour):
        """A filled rectangle."""
        (left, bottom), (right, top) = self.at(rectangle.x0, rectangle.y0), self.at(rectangle.x1, rectangle.y1)
        self.canvas.rectangle((left, top, right, bottom), colour)

    def part(self, part, colour):
        """A part of a piece of furniture, with an outline in a darker shade."""
        (left, bottom), (right, top) = self.at(*part.low[:2]), self.at(*part.high[:2])
        draw = self.canvas.rectangle if part.shape == "box" else self.canvas.ellipse
        shade = tuple(int(0.6 * channel) for channel in colour)
        draw((left, top, right, bottom), colour, shade, max(1, round(EDGE_WIDTH * self.scale)))

    def line(self, points, colour, width):
        """A line through points, of this width in metres."""
        self.canvas.line([self.at(x, y) for x, y in points], colour, max(1, round(width * self.scale)), joint="curve")

    def dot(self, point, colour, radius):
        """A disc with a white rim."""
        (x, y), reach = self.at(*point), radius * self.scale
        self.canvas.ellipse((x - reach, y - reach, x + reach, y + reach), colour, (255, 255, 255), round(reach / 4))
