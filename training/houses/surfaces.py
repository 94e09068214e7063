"""What the walls, floors, ceilings, doors and windows of a house are covered with.

Each house has a scheme: the tints of its walls, the wood of its floors and doors, how its bathrooms are tiled, what is
seen through its windows. Colours come from the families in `materials`.
"""

from training.houses.house import SIDES
from training.houses.materials import (
    GROUT,
    METAL,
    OFF_WHITES,
    TILE_TINTS,
    VIEWS,
    WALL_TINTS,
    WHITE,
    WOODS,
    mixed,
    shaded,
    tint,
)

WET_ROOMS = ("bathroom", "laundry")
BARE_ROOMS = ("storage", "laundry")  # plainly painted and without carpets
FROM_FLOOR_TO_CEILING = 3.0  # metres that a pattern covers which differs from bottom to top; made ceilings are lower


class HouseSurfaces:
    """Draws the surfaces of one house: first what all its rooms share, then those of each room.

    wood is the sRGB colour of most of its furniture; frame, leaf and pane are the materials of door frames, door leaves
    and window panes.
    """

    def __init__(self, draws, materials, wood):
        self.draws, self.materials, self.wood = draws, materials, wood
        self.tints = self.draw_tints()
        floor_wood = tint(draws, draws.choice(WOODS)) if draws.chance(0.6) else self.wood
        pattern = draws.choice(("planks", "planks", "parquet", "herringbone"))
        self.dry_floor = materials.add(pattern, floor_wood, shaded(floor_wood, 0.68), scale=draws.choice((1.0, 1.4)))
        trim = WHITE if draws.chance(0.6) else shaded(self.wood, 0.9)
        self.frame = self.skirting = materials.add("plain", trim)
        leaf = draws.choice((trim, trim, self.wood))
        self.leaf = materials.add("door leaf", leaf, shaded(leaf, 0.72), METAL, scale=0.0)
        self.ceiling = self.draw_ceiling()
        view = draws.choice(VIEWS)
        self.pane = materials.add(view[0], *(tint(draws, colour) for colour in view[1:]), scale=0.0, emission=1.0)

    def draw_tints(self):
        """The wall colours of a house's rooms, used in turn: of one family, mostly white, or of many."""
        families = self.draws.shuffled(WALL_TINTS)
        scheme = self.draws.choice(("many", "many", "one", "white"))
        if scheme == "many":
            return families
        if scheme == "one":
            return [family for _ in range(5) for family in (families[0], families[0], families[1])]
        return [family for family in families for _ in range(2)][:4] + [self.draws.choice(OFF_WHITES)] * 10

    def draw_ceiling(self):
        """White in most houses, else tinted, of boards or with beams."""
        kind = self.draws.choice(("white", "white", "white", "white", "white", "tinted", "boards", "beams"))
        if kind == "tinted":
            return self.materials.add("plain", mixed(tint(self.draws, self.draws.choice(WALL_TINTS)), WHITE, 0.5))
        if kind == "white":
            return self.materials.add("plain", (0.95, 0.95, 0.93))
        wood = mixed(self.wood, WHITE, self.draws.choice((0.0, 0.3)))
        if kind == "boards":
            return self.materials.add("planks", wood, shaded(wood, 0.85), scale=1.0)
        return self.materials.add("beams", (0.94, 0.93, 0.90), wood, shaded(wood, 0.7), scale=1.2)

    def draw(self, name):
        """The surfaces of a room of this type, as keyword arguments of `Room`."""
        self.tints.append(self.tints.pop(0))
        paint = tint(self.draws, self.tints[-1])
        wall = self.tiled_wall(paint) if name == "bathroom" else self.dry_wall(name, paint)
        walls = [wall] * len(SIDES)
        if name not in ("bathroom", "corridor", *BARE_ROOMS) and self.draws.chance(0.4):
            walls[self.draws.count(0, 3)] = self.accent_wall(paint)
        return {
            "wall_materials": tuple(walls),
            "floor_material": self.floor(name),
            "ceiling_material": self.ceiling,
            "skirting_material": self.skirting,
        }

    def dry_wall(self, name, paint):
        """Paint, a wallpaper, or panels below paint."""
        lighter = mixed(shaded(paint, 0.9), WHITE, 0.2)
        kind = "paint" if name in BARE_ROOMS else self.draws.choice(("paint",) * 5 + ("paper", "paper", "panels"))
        if kind == "panels":
            panels = self.draws.choice((WHITE, shaded(self.wood, 1.0), shaded(paint, 0.7)))
            return self.materials.add("panelling", paint, panels, shaded(panels, 0.75), scale=FROM_FLOOR_TO_CEILING)
        if kind == "paper":
            pattern = self.draws.choice(("stripes", "dots", "fine stripes", "damask"))
            second = lighter if self.draws.chance(0.7) else shaded(paint, 0.72)
            return self.materials.add(pattern, paint, second, scale=self.draws.choice((0.8, 1.2)))
        return self.materials.add("plaster", paint, scale=2.0)

    def tiled_wall(self, paint):
        """Bathroom tiles, square or like bricks, up to the ceiling or half way below paint."""
        colour = tint(self.draws, self.draws.choice(TILE_TINTS))
        grout = mixed(colour, METAL, 0.6)
        if self.draws.chance(0.3):
            return self.materials.add("half tiles", paint, colour, grout, scale=FROM_FLOOR_TO_CEILING)
        pattern, scale = self.draws.choice((("tiles", 0.8), ("tiles", 1.2), ("bricks", 1.0), ("checker", 0.8)))
        return self.materials.add(pattern, colour, grout, scale=scale)

    def accent_wall(self, paint):
        """One wall in a deeper tint, in brick or in wood."""
        kind = self.draws.choice(("paint", "paint", "paint", "bricks", "planks"))
        if kind == "paint":
            return self.materials.add("plaster", shaded(paint, 0.68), scale=2.0)
        colour = tint(self.draws, (0.03, 0.45, 0.68) if kind == "bricks" else self.draws.choice(WOODS))
        return self.materials.add(kind, colour, mixed(colour, WHITE, 0.5) if kind == "bricks" else shaded(colour, 0.75))

    def floor(self, name):
        """Tiles where it gets wet or dirty, the house's wood or a fitted carpet elsewhere."""
        tiled = {"kitchen": 0.7, "hall": 0.4, "storage": 0.5, "dining room": 0.15}.get(name, 0.0)
        if name in WET_ROOMS or self.draws.chance(tiled):
            colour = tint(self.draws, self.draws.choice(TILE_TINTS))
            pattern = self.draws.choice(("tiles", "tiles", "checker", "terrazzo", "marble"))
            second = shaded(colour, 0.55) if pattern == "checker" else mixed(colour, GROUT, 0.4)
            return self.materials.add(pattern, colour, second, scale=self.draws.choice((1.2, 1.6, 2.0)))
        fitted = {"bedroom": 0.4, "children's room": 0.5, "office": 0.2}.get(name, 0.0)
        if self.draws.chance(fitted):
            colour = tint(self.draws, (0.09, self.draws.between(0.05, 0.35), self.draws.between(0.45, 0.8)))
            return self.materials.add("weave", colour, shaded(colour, 0.85), scale=0.8)
        return self.dry_floor
