"""What a view costs: samples for its uncertainty are drawn for those who want it; images do not wait for it. And which
maps are refused.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped

from placenet_ros.node import tasks
from placenet_ros.node.activity import Activity
from placenet_ros.node.episodes import EpisodeWatch
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.node.request import RequestError
from placenet_ros.scene.camera import PinholeCamera
from placenet_ros.scene.place_index import PlaceMap


class Memory:
    """Stands in for a SceneMemory that has seen something; notes how many samples each prediction was asked for."""

    embeds = 0

    def __init__(self):
        self.samples = []

    def __len__(self):
        return 1

    def predict(self, pose, samples, between):
        self.samples.append(samples)
        between()


class Outputs:
    """Stands in for the publishers: somebody listens to ~predicted/image, and to ~predicted/uncertainty where told."""

    def __init__(self, *_):
        self.published = 0
        self.uncertainty_listeners = 0

    def has_view_listener(self):
        return True

    def has_uncertainty_listener(self):
        return self.uncertainty_listeners > 0

    def view_messages(self, header, view):
        return view

    def publish_view(self, messages):
        self.published += 1


@pytest.fixture
def at_work(monkeypatch):
    monkeypatch.setattr(tasks, "Outputs", Outputs)
    monkeypatch.setattr(tasks, "camera_pose", lambda camera, frame_id: camera)
    model = SimpleNamespace(
        memory=Memory(),
        model_id="",
        embedding_length=8,
        match_similarity=0.9,
        evaluation=SimpleNamespace(rmse=20.0),
        camera=PinholeCamera.square(16, 60.0),
    )
    newest = SimpleNamespace(stamp=1)
    inbox = SimpleNamespace(
        newest_odometry=lambda: newest, odometry_ahead=lambda seconds: newest, take_image=lambda: None
    )
    frames = SimpleNamespace(query=lambda *_: None, camera_frame=lambda *_: None)
    episodes = EpisodeWatch(True)
    return tasks.Tasks(model, NodeParameters(prediction_samples=4), inbox, frames, episodes, None, Activity(), str)


@pytest.mark.parametrize("listeners, samples", [(0, 0), (1, 4)])
def test_samples_are_drawn_for_topics_only_while_somebody_listens_to_the_uncertainty(at_work, listeners, samples):
    at_work._outputs.uncertainty_listeners = listeners
    query = PoseStamped()
    query.pose.orientation.w = 1.0
    at_work.publish_answer(query)
    at_work.predict_current()
    assert at_work.scene.memory.samples == [samples, samples]
    assert at_work._outputs.published == 2


def test_the_service_answers_with_the_uncertainty_whoever_listens(at_work):
    query = PoseStamped()
    query.pose.orientation.w = 1.0
    at_work.answer(query)
    assert at_work.scene.memory.samples == [4]


def test_an_image_that_comes_during_a_view_is_observed_before_the_view_is_published(at_work):
    observed = []
    at_work.observe = lambda posed: observed.append((posed, at_work._outputs.published))
    at_work._inbox.take_image = iter(["first", None, "third", "fourth"]).__next__
    for _ in range(3):
        at_work._inbox.odometry_ahead(0.0).stamp += 1
        at_work.predict_current()
    assert observed == [("first", 0), ("third", 2)]
    at_work._episodes.begin()  # what came belongs to an episode that the scene is not in yet
    at_work._inbox.odometry_ahead(0.0).stamp += 1
    at_work.predict_current()
    assert len(observed) == 2 and at_work._outputs.published == 4


def test_the_model_that_a_map_names_is_shown_in_one_line_whatever_it_is(at_work):
    empty = PlaceMap(np.zeros((0, 8)), *(np.zeros(0),) * 5, [])
    with pytest.raises(RequestError) as refusal:
        at_work.add_map(empty, "one\n\x1b[31m", "flat.map")
    assert r"made by the model 'one\n\x1b[31m'" in str(refusal.value) and str(refusal.value).isprintable()
