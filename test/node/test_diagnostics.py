"""What the one line of the diagnostics status says first: faults, then why nothing is observed, then what is held."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from placenet_ros.node.diagnostics import clocks_line, summary

ALL_IS_WELL = {"silent": [], "stands_still": False, "dropped": 0, "missed": 0, "is_paused": False, "held": 7}
MISSED = "3 keyframes missed in 10 s: images come faster than they are encoded"


@pytest.mark.parametrize(
    "state, line",
    [
        ({}, "7 observations held"),
        ({"held": 0}, "0 observations held"),
        ({"held": 1}, "1 observation held"),
        ({"held": None}, "loading the model"),
        ({"is_paused": True}, "paused"),
        ({"stands_still": True}, "time stands still"),
        ({"is_paused": True, "stands_still": True}, "paused; time stands still"),
    ],
)
def test_without_faults_the_status_is_well_and_says_why_nothing_is_observed_or_what_is_held(state, line):
    assert summary(**{**ALL_IS_WELL, **state}) == (DiagnosticStatus.OK, line)


@pytest.mark.parametrize(
    "state, line",
    [
        ({"silent": ["image", "odom"]}, "silent: image, odom"),
        ({"dropped": 5}, "5 messages dropped in a second"),
        ({"dropped": 1}, "1 message dropped in a second"),
        ({"missed": 3}, MISSED),
        (
            {"silent": ["odom"], "dropped": 5, "missed": 3},
            f"silent: odom; 5 messages dropped in a second; {MISSED}",
        ),
    ],
)
def test_faults_warn_and_none_hides_another(state, line):
    assert summary(**{**ALL_IS_WELL, **state}) == (DiagnosticStatus.WARN, line)


@pytest.mark.parametrize(
    "fault, line", [({"silent": ["depth"]}, "silent: depth"), ({"dropped": 5}, "5 messages dropped in a second")]
)
@pytest.mark.parametrize(
    "rest, why",
    [
        ({"is_paused": True}, "paused"),
        ({"stands_still": True}, "time stands still"),
        ({"held": None}, "loading the model"),
    ],
)
def test_what_is_wrong_comes_before_why_nothing_is_observed_and_hides_none_of_it(fault, line, rest, why):
    assert summary(**{**ALL_IS_WELL, **fault, **rest}) == (DiagnosticStatus.WARN, f"{line}; {why}")


@pytest.mark.parametrize("rest", [{"is_paused": True}, {"stands_still": True}])
def test_keyframes_missed_before_are_no_fault_of_a_node_that_is_paused_or_whose_time_stands_still(rest):
    assert summary(**{**ALL_IS_WELL, **rest, "missed": 3}) == summary(**{**ALL_IS_WELL, **rest})


@pytest.mark.parametrize("ahead", [0.0, 0.09, -0.5, -9.9])
def test_stamps_that_transport_explains_are_not_told(ahead):
    assert clocks_line(ahead) is None


@pytest.mark.parametrize(
    "ahead, told",
    [
        (0.1, "0.1 s ahead"),
        (60.0, "60.0 s ahead"),
        (-10.0, "10 s behind"),
        (-7200.0, "2 hours behind"),
        (-95919978.0, "1110 days behind"),
    ],
)
def test_stamps_ahead_of_or_far_behind_this_computers_time_are_told_by_how_much(ahead, told):
    line = clocks_line(ahead)
    assert line.startswith(f"images have stamps {told} ")
    assert "/use_sim_time" in line and "chrony" in line
