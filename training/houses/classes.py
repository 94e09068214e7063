"""Names of the object classes in made houses.

The index of a name is its class id in the object pictures (uint8). Ids are part of the data's format: append, never
reorder.
Colours for ids are the model's business (`placenet_ros.model.modalities.class_colours`).
"""

CLASS_NAMES = (
    "nothing", "wall", "floor", "ceiling", "door", "window",
    "bed", "pillow", "wardrobe", "nightstand", "cupboard", "shelf", "books",
    "table", "coffee table", "desk", "chair", "armchair", "sofa", "cushion",
    "television", "monitor", "counter", "sink", "stove", "refrigerator",
    "toilet", "bathtub", "shower", "washing machine", "mirror",
    "plant", "lamp", "carpet", "picture", "curtain", "radiator", "bin", "vase", "box",
)  # fmt: skip

CLASS_IDS = {name: index for index, name in enumerate(CLASS_NAMES)}
