"""From names that others gave to things ("Chair_01", "tvStand", "kitchen sink") to the object classes of made houses.

Names in house files and scenes are free text. Here is which words mean which class; what to do with things of no known
class is left to those who read the files.
"""

import re

from training.houses.classes import CLASS_IDS

LONGEST_NAME = 200  # characters of a name that are looked at

# Further words for a class, beside its own name. Several words count before single ones.
SYNONYMS = {
    "wall": ("partition",),
    "floor": ("ground", "flooring", "parquet"),
    "ceiling": ("roof",),
    "door": ("doorway", "gate", "entrance"),
    "window": ("skylight", "pane"),
    "bed": ("bunk", "crib", "mattress", "cot", "bunker bed", "baby bed", "double bed", "single bed"),
    "wardrobe": ("closet", "armoire", "wardrobe cabinet"),
    "nightstand": ("night stand", "bedside table", "bedside cabinet", "night table"),
    "cupboard": (
        "cabinet", "dresser", "sideboard", "chest", "drawer", "commode", "hutch", "tv stand", "tv cabinet",
        "kitchen cabinet", "shoe cabinet", "chest of drawers",
    ),
    "shelf": ("shelves", "bookcase", "bookshelf", "shelving", "rack", "book shelf", "book case"),
    "books": ("book", "magazine"),
    "table": ("dining table", "round table"),
    "coffee table": ("side table", "end table", "tea table"),
    "desk": ("office desk", "computer desk", "work table", "writing table"),
    "chair": ("stool", "bench", "seat", "office chair", "desk chair", "dining chair"),
    "armchair": ("recliner", "arm chair", "lounge chair", "rocking chair"),
    "sofa": ("couch", "settee", "loveseat", "ottoman", "pouf"),
    "cushion": ("throw pillow",),
    "television": ("tv", "tv set"),
    "monitor": ("screen", "computer", "laptop", "display"),
    "counter": ("countertop", "worktop", "kitchen counter", "kitchen island", "counter top"),
    "sink": ("basin", "washbasin", "wash basin"),
    "stove": ("oven", "cooker", "hob", "cooktop", "stovetop", "microwave", "range hood"),
    "refrigerator": ("fridge", "freezer"),
    "toilet": ("lavatory", "urinal"),
    "bathtub": ("bath", "tub", "bath tub"),
    "shower": ("shower cabin", "shower tray"),
    "washing machine": ("washer", "dryer", "laundry machine", "dishwasher"),
    "plant": ("tree", "flower", "potted plant", "house plant"),
    "lamp": ("light", "chandelier", "lantern", "sconce", "floor lamp", "table lamp", "ceiling lamp"),
    "carpet": ("rug", "mat", "runner", "bath mat"),
    "picture": ("painting", "poster", "photo", "picture frame", "wall art", "artwork"),
    "curtain": ("blind", "drape", "shade", "shower curtain"),
    "radiator": ("heater",),
    "bin": ("trash", "trashcan", "wastebasket", "trash can", "garbage can", "waste bin"),
    "vase": ("urn",),
    "box": ("carton", "crate", "basket", "suitcase"),
}  # fmt: skip


def _table():
    table = {tuple(name.split()): name for name in CLASS_IDS if name != "nothing"}
    for name, words in SYNONYMS.items():
        table |= {tuple(word.split()): name for word in words}
    return table


CLASS_OF_WORDS = _table()
LONGEST_PHRASE = max(len(words) for words in CLASS_OF_WORDS)


def class_of(*names):
    """The class name of the first of some names (text; anything else is passed over) that says one; None if none does.

    Longer phrases count before single words, and words at the end before those at the beginning: a "bath mat" is a
    carpet, a "table lamp" a lamp. Case, digits, underscores and a plural's s do not matter.
    """
    for name in names:
        found = _class_of(name) if isinstance(name, str) else None
        if found:
            return found
    return None


def _class_of(name):
    words = words_of(name)
    for length in range(LONGEST_PHRASE, 0, -1):
        for start in range(len(words) - length, -1, -1):
            phrase = tuple(words[start : start + length])
            found = CLASS_OF_WORDS.get(phrase) or CLASS_OF_WORDS.get((*phrase[:-1], phrase[-1].removesuffix("s")))
            if found:
                return found
    return None


def words_of(name):
    """The words of a name in lower case: "tvStand_02" is tv, stand."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name[:LONGEST_NAME])
    return re.findall(r"[a-z]+", split.lower())
