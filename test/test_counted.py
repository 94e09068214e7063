"""Numbers of things as they are said."""

import pytest

from placenet_ros.counted import counted


@pytest.mark.parametrize(
    "number, words, said",
    [
        (0, ["place"], "0 places"),
        (1, ["place"], "1 place"),
        (1234, ["place"], "1,234 places"),
        (1, ["trajectory", "trajectories"], "1 trajectory"),
        (2, ["trajectory", "trajectories"], "2 trajectories"),
    ],
)
def test_number_and_word_agree(number, words, said):
    assert counted(number, *words) == said
