"""Furnishing: what stands in which room, and beside or opposite what.

`room_plan` finds the places, `furniture` makes the pieces.
"""

from training.houses.classes import CLASS_IDS
from training.houses.furniture import UNIT, Workshop
from training.houses.house import SIDES, Rectangle
from training.houses.room_plan import RoomPlan, depth_from, length_along

MAIN_TRIES = 150  # places tried for the piece that makes a room what it is
MAIN_PIECES = {
    "bedroom": ("bed", "wardrobe"),
    "children's room": ("bed", "desk"),
    "living room": ("sofa", "television"),
    "dining room": ("table",),
    "kitchen": ("counter", "refrigerator"),
    "bathroom": ("toilet", "sink"),
    "laundry": ("washing machine", "sink"),
    "storage": ("shelf",),
    "office": ("desk", "shelf"),
}
ATTEMPTS = 6  # at furnishing a room with all its main pieces
CURTAINED = ("bedroom", "children's room", "living room", "dining room", "office")
PICTURES = {"bathroom": (0, 1), "laundry": (0, 0), "storage": (0, 0)}  # fewest and most in a room; elsewhere (1, 4)


def furnish(index, room, openings, draws, materials, palette, door_leaf, front_side):
    """The pieces of a room. door_leaf is a material; front_side the side with the front door, None without one."""
    workshop = Workshop(draws, materials, palette)
    for attempt in range(ATTEMPTS):
        plan = RoomPlan(index, room, openings, draws)
        if front_side is not None:
            plan.hang_front_door(workshop.front_door(), front_side)
        if attempt == 0:  # a room that stayed without its main pieces gets no leaves that stand in their way
            plan.hang_doors(workshop.door_leaf(door_leaf))
        FURNISHERS[room.name](plan, workshop)
        if {piece.name for piece in plan.pieces}.issuperset(MAIN_PIECES.get(room.name, ())):
            break
    hang(plan, workshop, room)
    return plan.pieces


def furnish_bedroom(plan, workshop):
    """A bed between nightstands, a wardrobe, and some of desk, chest, armchair, plant."""
    double = plan.inner.area > 8.5 and plan.draws.chance(0.8)
    bed = plan.against_wall("bed", workshop.bed(double), beside=0.5 if double else 0.0) or plan.against_wall(
        "bed", workshop.bed(False), corner=True, tries=MAIN_TRIES
    )
    if bed:
        piece, side, along = bed
        for beside in (along - 0.47, along + length_along(piece.footprint, side) + 0.02):
            plan.at("nightstand", workshop.nightstand(), side, round(beside, 3))
        if plan.draws.chance(0.7):
            lay_carpet(plan, workshop, piece, 0.5)
    plan.against_wall("wardrobe", workshop.wardrobe(), corner=plan.draws.chance(0.6))
    if plan.draws.chance(0.6):
        plan.against_wall("cupboard", workshop.cupboard())
    if plan.inner.area > 12 and plan.draws.chance(0.4):
        plan.against_wall("desk", workshop.desk())
    extras(plan, workshop, ("armchair", "plant", "floor_lamp", "shelf", "boxes", "hall_mirror"), 2)


def furnish_childrens_room(plan, workshop):
    """A bed or a bunk bed in a corner, a desk, toys on a carpet, a wardrobe and a shelf."""
    bunk = plan.draws.chance(0.4)
    bed = plan.against_wall("bed", workshop.bunk_bed() if bunk else workshop.bed(False), corner=True)
    if not bed:
        plan.against_wall("bed", workshop.bed(False), tries=MAIN_TRIES)
    elif not bunk:
        piece, side, along = bed
        plan.at("nightstand", workshop.nightstand(), side, round(along + length_along(piece.footprint, side) + 0.02, 3))
    plan.against_wall("desk", workshop.desk())
    plan.against_wall("wardrobe", workshop.wardrobe(), corner=plan.draws.chance(0.6))
    width, depth = plan.draws.between(1.2, 1.8), plan.draws.between(1.0, 1.4)
    plan.in_the_middle("carpet", workshop.carpet(width, depth), 0.0)
    plan.against_wall("box", workshop.toys(), gap=0.08)
    extras(plan, workshop, ("shelf", "boxes", "plant", "shelf", "cupboard", "bin"), 2)


def furnish_living_room(plan, workshop):
    """A sofa facing a television over a coffee table on a carpet, shelves, a dining table if there is room."""
    sofa = facing_television(plan, workshop)
    if not sofa:
        plan.against_wall("television", workshop.television(1.0), tries=MAIN_TRIES)
        sofa = plan.against_wall("sofa", workshop.sofa()) or plan.against_wall(
            "sofa", workshop.sofa(1.3), tries=MAIN_TRIES
        )
    if sofa:
        before_sofa(plan, workshop, *sofa)
    if plan.inner.area > 17:
        plan.in_the_open("table", workshop.dining_table(1.8) if plan.draws.chance(0.7) else workshop.round_table())
    plan.against_wall("shelf", workshop.shelf())
    kinds = ("armchair", "shelf", "cupboard", "plant", "floor_lamp", "plant", "boxes", "armchair", "shelf")
    extras(plan, workshop, kinds, min(7, int(plan.inner.area / 4)))


def facing_television(plan, workshop):
    """A television at a wall and a sofa opposite; returns the sofa as `RoomPlan.opposite` does, or None."""
    for width in (None, None, None, 1.0, 1.0, 1.0):
        before = plan.snapshot()
        television = plan.against_wall("television", workshop.television(width), beside=0.3)
        if television:
            for sofa in (workshop.sofa(), workshop.sofa(1.5)):
                placed = plan.opposite("sofa", sofa, *television)
                if placed:
                    return placed
        plan.restore(before)
    return None


def before_sofa(plan, workshop, sofa, side, along, off=0.0):
    """A carpet and a low table in front of the sofa."""
    wide, far = length_along(sofa.footprint, side), off + depth_from(sofa.footprint, side)
    width, depth = plan.draws.between(1.4, 2.2), plan.draws.between(1.1, 1.6)
    plan.at("carpet", workshop.carpet(width, depth), side, round(along + (wide - width) / 2, 3), round(far + 0.1, 3))
    table = workshop.coffee_table()
    plan.at("coffee table", table, side, round(along + (wide - table.width) / 2, 3), round(far + 0.35, 3))


def furnish_dining_room(plan, workshop):
    """A table with chairs in the middle, on a carpet or not, and sideboards along the walls."""
    table = workshop.dining_table(2.2) if plan.draws.chance(0.75) else workshop.round_table()
    placed = plan.in_the_middle("table", table, 0.5) or plan.in_the_open("table", workshop.round_table(), gap=0.35)
    if placed and plan.draws.chance(0.5):
        lay_carpet(plan, workshop, placed, 0.2)
    for _ in range(2):
        plan.against_wall("cupboard", workshop.cupboard())
    extras(plan, workshop, ("shelf", "plant", "floor_lamp", "cupboard", "plant"), 3)


def furnish_kitchen(plan, workshop):
    """A run of counters with cupboards above, a refrigerator, a table with chairs."""
    sides = plan.draws.shuffled(SIDES)
    run = None
    for longest in (3.6, 3.0, 2.4, 1.8, 1.2):
        run = plan.against_wall("counter", workshop.kitchen_run(longest), sides, corner=True)
        if run:
            break
    if run:
        piece, side, along = run
        wide = length_along(piece.footprint, side)
        fridge = workshop.refrigerator()
        plan.at("refrigerator", fridge, side, round(along + wide + 0.02, 3)) or plan.at(
            "refrigerator", fridge, side, round(along - 0.62, 3)
        ) or plan.against_wall("refrigerator", fridge, tries=MAIN_TRIES)
        hang_above_counter(plan, workshop, piece, side, along, wide)
    table = workshop.dining_table(1.3) if plan.draws.chance(0.6) else workshop.round_table()
    plan.in_the_middle("table", table, 0.35) or plan.in_the_open("table", table, gap=0.35) or plan.against_wall(
        "table", table, tries=MAIN_TRIES
    )
    extras(plan, workshop, ("cupboard", "linen_shelf", "bin", "plant"), 3)


def hang_above_counter(plan, workshop, run, side, along, wide):
    """Tiles, cupboards and the stove's hood above the units of a counter, where no window is."""
    stove = next(part_footprint(part) for part in run.parts if part.class_id == CLASS_IDS["stove"])
    with_cupboards, tiles = plan.draws.chance(0.85), workshop.backsplash()
    for unit in range(round(wide / UNIT)):
        start = round(along + unit * UNIT, 3)
        counter = plan.rectangle(side, start, UNIT, 0.0, depth_from(run.footprint, side))
        if any(counter.overlaps(zone) for zone in plan.window_zones):
            continue
        if counter.grown(-0.05).overlaps(stove):
            plan.add("stove", workshop.hood(tiles), side, start)
        elif with_cupboards:
            plan.add("cupboard", workshop.wall_cupboard(tiles), side, start)


def furnish_bathroom(plan, workshop):
    """A bathtub or shower, a toilet, a basin with a mirror, a washing machine, a mat."""
    plan.against_wall("toilet", workshop.toilet(), gap=0.15, tries=MAIN_TRIES)
    tub = plan.against_wall("bathtub", workshop.bathtub(), corner=True) if plan.draws.chance(0.6) else None
    if not tub:
        plan.against_wall("shower", workshop.shower(), corner=True, tries=MAIN_TRIES)
    basin = plan.against_wall("sink", workshop.washbasin(), gap=0.05, tries=MAIN_TRIES)
    if plan.draws.chance(0.5):
        plan.against_wall("washing machine", workshop.washing_machine())
    if basin and plan.draws.chance(0.7):
        lay_carpet(plan, workshop, basin[0], 0.35)
    extras(plan, workshop, ("bin", "plant", "cupboard", "linen_shelf"), 2)


def furnish_laundry(plan, workshop):
    """A washing machine, with the dryer on it or beside it, a deep sink, a basket, a shelf."""
    tower = plan.draws.chance(0.5)
    machine = workshop.washing_tower() if tower else workshop.washing_machine()
    placed = plan.against_wall("washing machine", machine, tries=MAIN_TRIES)
    if placed and not tower:
        piece, side, along = placed
        plan.at("washing machine", workshop.washing_machine(), side, round(along + 0.62, 3))
    plan.against_wall("sink", workshop.laundry_sink(), tries=MAIN_TRIES)
    plan.against_wall("box", workshop.laundry_basket(), corner=True)
    plan.against_wall("shelf", workshop.storage_shelf())
    extras(plan, workshop, ("boxes", "bin", "cupboard", "laundry_basket"), 2)


def furnish_storage(plan, workshop):
    """Shelves with boxes, and more boxes."""
    for _ in range(3):
        plan.against_wall("shelf", workshop.storage_shelf(), corner=plan.draws.chance(0.5), tries=MAIN_TRIES)
    extras(plan, workshop, ("boxes", "boxes", "bin", "wardrobe", "laundry_basket"), 4)


def furnish_office(plan, workshop):
    """A desk with a chair, shelves full of books, an armchair."""
    plan.against_wall("desk", workshop.desk(), tries=MAIN_TRIES)
    for _ in range(2):
        plan.against_wall("shelf", workshop.shelf(), corner=plan.draws.chance(0.5))
    if plan.draws.chance(0.6):
        carpet = workshop.carpet(plan.draws.between(1.2, 1.8), plan.draws.between(0.9, 1.3))
        plan.in_the_middle("carpet", carpet, 0.0)
    extras(plan, workshop, ("armchair", "cupboard", "plant", "floor_lamp", "bin", "boxes", "sofa"), 4)


def furnish_corridor(plan, workshop):
    """A runner, a narrow chest, a plant."""
    side = "south" if plan.inner.width > plan.inner.depth else "west"
    length = min(plan.length(side) - 1.0, plan.draws.between(2.0, 5.0))
    if plan.draws.chance(0.8):
        runner = workshop.carpet(length, 0.7)
        across = plan.length("west" if side == "south" else "south")
        plan.at("carpet", runner, side, round((plan.length(side) - length) / 2, 3), round((across - 0.7) / 2, 3))
    plan.against_wall("cupboard", workshop.cupboard(depth=0.3))
    extras(plan, workshop, ("plant", "boxes", "bin", "hall_mirror", "coats", "floor_lamp"), 3)


def furnish_hall(plan, workshop):
    """Coats over shoes, a narrow chest, a mirror, a mat."""
    plan.against_wall("wardrobe", workshop.coats() if plan.draws.chance(0.6) else workshop.wardrobe(), tries=MAIN_TRIES)
    plan.against_wall("cupboard", workshop.cupboard(depth=0.3))
    plan.against_wall("mirror", workshop.hall_mirror())
    if plan.draws.chance(0.7):
        plan.in_the_middle("carpet", workshop.carpet(plan.draws.between(0.8, 1.4), plan.draws.between(0.6, 0.9)), 0.0)
    extras(plan, workshop, ("plant", "floor_lamp", "boxes", "coats", "armchair"), 2)


FURNISHERS = {
    "bedroom": furnish_bedroom,
    "children's room": furnish_childrens_room,
    "living room": furnish_living_room,
    "dining room": furnish_dining_room,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "laundry": furnish_laundry,
    "storage": furnish_storage,
    "office": furnish_office,
    "corridor": furnish_corridor,
    "hall": furnish_hall,
}


# Pieces that can stand in many rooms: the name of the piece for each of the workshop's methods.
EXTRAS = {
    "armchair": "armchair", "boxes": "box", "bin": "bin", "coats": "wardrobe", "cupboard": "cupboard",
    "floor_lamp": "lamp", "hall_mirror": "mirror", "laundry_basket": "box", "plant": "plant", "shelf": "shelf",
    "linen_shelf": "shelf", "sofa": "sofa", "wardrobe": "wardrobe",
}  # fmt: skip


def extras(plan, workshop, kinds, count):
    """Some further pieces of the given kinds, in corners and along the walls."""
    for kind in plan.draws.shuffled(kinds)[:count]:
        plan.against_wall(EXTRAS[kind], getattr(workshop, kind)(), corner=plan.draws.chance(0.6), gap=0.08)


def part_footprint(part):
    """The rectangle on the floor under a part."""
    return Rectangle(*part.low[:2], *part.high[:2])


def lay_carpet(plan, workshop, piece, margin):
    """A carpet under a piece, that looks out on all sides as far as the room allows."""
    around, inner = piece.footprint.grown(margin), plan.inner
    x0, y0 = max(around.x0, inner.x0 + 0.05), max(around.y0, inner.y0 + 0.05)
    x1, y1 = min(around.x1, inner.x1 - 0.05), min(around.y1, inner.y1 - 0.05)
    shape = workshop.carpet(round(x1 - x0, 3), round(y1 - y0, 3))
    plan.add("carpet", shape, "south", round(x0 - inner.x0, 3), round(y0 - inner.y0, 3))


def hang(plan, workshop, room):
    """What hangs on walls and ceiling: a lamp, radiators and curtains at windows, pictures."""
    lamp = workshop.ceiling_lamp(room.ceiling)
    plan.add(
        "lamp",
        lamp,
        "south",
        round(plan.inner.width / 2 - lamp.width / 2, 3),
        round(plan.inner.depth / 2 - lamp.depth / 2, 3),
    )
    curtains = workshop.fabric()
    with_curtains = room.name in CURTAINED and plan.draws.chance(0.75)
    for window in plan.windows:
        side = window.side_of(plan.index)
        start, end = window.start - plan.origin(side), window.end - plan.origin(side)
        if window.bottom >= 0.8 and room.name != "bathroom":
            plan.at("radiator", workshop.radiator(round(end - start, 3)), side, round(start, 3))
        if with_curtains:
            bottom = 0.05 if plan.draws.chance(0.5) else window.bottom - 0.15
            curtain = workshop.curtain(curtains, bottom)
            for along in (start - curtain.width, end):
                plan.at("curtain", curtain, side, round(along, 3))
    for _ in range(plan.draws.count(*PICTURES.get(room.name, (1, 4)))):
        plan.against_wall("picture", workshop.picture(), gap=0.1)
