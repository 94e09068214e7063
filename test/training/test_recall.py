"""benchmarks.recall: what its table says of answers that are known."""

import numpy as np

from benchmarks.recall import Answer, difference, print_table


def test_the_difference_is_as_uncertain_as_houses_differ_however_many_queries_each_has():
    few, many = (difference(np.repeat([-2.0, 0.0], count), np.repeat([1, 2], count)) for count in (2, 200))
    assert few == many == "-1.0 (-2.0..+0.0)"


def test_the_difference_in_one_house_has_no_interval():
    assert difference(np.array([-1.0, -2.0]), np.array([7, 7])) == "-1.5"


def test_each_part_of_the_way_has_its_row_and_all_have_one(capsys):
    print_table([Answer(1, "out", "own", 20.0, 10.0), Answer(1, "back", "own", 10.0, 10.0)])
    rows = [line.strip("|").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(row[1], row[2], row[3], row[5]) for row in rows] == [
        ("out", "1", "20.0", "-10.0"),
        ("back", "1", "10.0", "+0.0"),
        ("all", "2", "15.0", "-5.0"),
    ]
