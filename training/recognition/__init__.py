"""Place recognition: how well descriptors of a walk through a house are found again on another walk through it."""
