"""benchmarks.elsewhere: what its table says of answers that are known."""

import numpy as np
import pytest

from benchmarks.elsewhere import RANGES, Answer, ElsewhereConfig, print_table, views


class House:
    """Free everywhere within 12 m."""

    free = np.stack(np.meshgrid(np.arange(-12, 12, 0.1), np.arange(-12, 12, 0.1)), axis=-1).reshape(-1, 2)


def test_views_are_from_near_where_the_robot_was_one_for_each_range_of_distances():
    past = np.array([[x, 0.0, 0.8, 0.3, -0.1] for x in np.arange(0.0, 10.0, 0.2)], np.float32)
    asked = list(views(House(), past, np.random.default_rng(0)))
    assert [nearest for nearest, _ in asked] == list(RANGES[:-1])
    for (nearest, view), farthest in zip(asked, RANGES[1:], strict=True):
        assert nearest <= np.hypot(*(view[:2] - past[-1, :2])) < farthest
        assert np.hypot(*(past[:, :2] - view[:2]).T).min() <= 0.5
        assert abs(view[3] - 0.3) <= np.pi / 6 + 1e-6 and view[4] == past[0, 4]


def test_each_range_has_its_row_and_so_have_near_and_elsewhere(capsys):
    print_table([Answer(1, 0.0, 10.0, 12.0, 0.1, 0.11), Answer(1, 2.0, 30.0, 12.0, 0.1, 0.3),
                 Answer(1, 6.0, 40.0, 10.0, 0.1, 0.5)])  # fmt: skip
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(row[0], row[1], row[4], row[8]) for row in rows] == [
        ("0 to 1", "1", "+2.0", "1.10"),
        ("2 to 3", "1", "-18.0", "3.00"),
        ("6 and more", "1", "-30.0", "5.00"),
        ("0 to 2", "1", "+2.0", "1.10"),
        ("2 and more", "2", "-24.0", "4.00"),
    ]


def test_a_count_of_none_is_refused_with_what_was_found():
    with pytest.raises(ValueError, match="every.*found 6, 0, 20, 1 and 300"):
        ElsewhereConfig(every=0)
