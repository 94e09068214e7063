"""Loading a model, and what the node reads of its evaluation from the JSON beside the weights."""

import gc
import math

import pytest
from robot import save_tiny_weights

from placenet_ros.node.loading import Evaluation, load_model, match_similarity_of
from placenet_ros.node.parameters import NodeParameters

ROWS = {"this network": {"rmse": {"mean": 20.5}}, "nearest image": {"rmse": {"mean": 60}}}


def test_figures_are_those_with_the_most_observations():
    worse = {"this network": {"rmse": {"mean": 30.0}}}
    found = Evaluation.of({"evaluation": {"queries": 1024, "figures": {"3": worse, "12": ROWS, "5": worse}}})
    assert (found.queries, found.rmse, found.rmse_nearest_image) == (1024, 20.5, 60.0)
    assert math.isnan(found.rmse_mean_image)


def test_what_is_usual_is_what_the_prior_s_mean_reached_where_that_was_measured():
    rows = {**ROWS, "its prior's mean": {"rmse": {"mean": 18.5}}}
    assert Evaluation.of({"evaluation": {"figures": {"5": rows}}}).rmse == 18.5
    assert Evaluation.of({"evaluation": {"figures": {"5": {**rows, "its prior's mean": {}}}}}).rmse == 20.5


@pytest.mark.parametrize(
    "evaluation",
    [
        None,
        "good",
        [1],
        {"figures": 3},
        {"figures": {"all": ROWS}},
        {"figures": {"5": None}},
        {"figures": {"5": {"this network": 20.5}}},
        {"figures": {"5": {"this network": {}}}},
        {"figures": {"5": {"this network": {"rmse": {"mean": "low"}}}}},
        {"queries": "many", "figures": {"5": {"this network": {"rmse": {"mean": math.inf}}}}},
    ],
)
def test_what_has_another_form_counts_as_not_measured(evaluation):
    found = Evaluation.of({"evaluation": evaluation})
    assert found.queries == 0
    assert math.isnan(found.rmse)


def test_what_is_loaded_is_no_longer_searched_for_garbage(tmp_path):
    load_model(save_tiny_weights(tmp_path / "tiny"), NodeParameters(), warn=None)
    try:
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_similarity_of_matches_is_what_the_weights_say_or_none():
    assert match_similarity_of({"recognition": {"threshold": 0.89}}) == 0.89
    for recognition in (None, 0.89, {}, {"threshold": "high"}, {"threshold": math.nan}, {"threshold": 1.5}):
        assert match_similarity_of({"recognition": recognition}) is None
    assert match_similarity_of({}) is None
