"""What the worker does with the scene: observe an image, answer a query, predict the current view, start over.

Runs in the worker's thread alone, which owns the scene and the model.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Callable, NamedTuple

import numpy as np
import rospy
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Header

from placenet_ros.node.activity import Activity, StepTimes
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.episodes import EpisodeWatch
from placenet_ros.node.frames import FrameError, Frames
from placenet_ros.node.image_layout import ImageError
from placenet_ros.node.inbox import Inbox, PosedImage
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import LiveScene, Observation
from placenet_ros.node.outputs import Outputs, ViewMessages
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.node.pictures import PictureMaker
from placenet_ros.node.request import RequestError
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose, roll_degrees
from placenet_ros.node.surprise import FEWEST, UsualError
from placenet_ros.scene.place_index import PlaceIndex, PlaceMap
from placenet_ros.scene.viewpoints import CameraPose

if TYPE_CHECKING:  # imports PyTorch, which only the worker may wait for
    from placenet_ros.node.loading import LoadedModel
    from placenet_ros.scene.memory import PredictedView


ROLL_DEGREES = 5.0  # more than the sway of a robot on wheels


class AddedMap(NamedTuple):
    """What became of a map's places."""

    first_episode: int  # the number that the first of their episodes got
    added: int
    known: int  # were there already


class Answer(NamedTuple):
    """What a query gets."""

    view: ViewMessages
    remark: str  # one line, where the view is not what the query is after; empty: it is


class Tasks:
    """Everything the worker can do; see `placenet_node.PlaceNetNode` for the parts it is given.

    topic: returns the topic of an input.
    """

    def __init__(
        self,
        model: LoadedModel,
        parameters: NodeParameters,
        inbox: Inbox,
        frames: Frames,
        episodes: EpisodeWatch,
        drops: DropCounter,
        activity: Activity,
        topic: Callable[[str], str],
    ):
        self._inbox, self._frames, self._episodes = inbox, frames, episodes
        self._drops, self._activity, self._topic = drops, activity, topic
        self.is_paused = False  # then no image becomes an observation
        self._predict_ahead = parameters.predict_ahead
        self._samples = parameters.prediction_samples
        self._usual_error = UsualError(model.evaluation.rmse)
        gate = KeyframeGate(parameters.keyframe_distance, parameters.keyframe_angle, parameters.keyframe_period)
        self.scene = LiveScene(
            model.memory,
            gate,
            parameters.max_observations,
            parameters.anchor_range,
            parameters.archive_megabytes,
            parameters.odometry_trust,
            model.camera.field_of_view_degrees[0],
        )
        self._pictures = PictureMaker(model.camera, parameters.input_is_rectified, drops)
        self._outputs = Outputs(model, parameters.max_observations, parameters.map_frames_agree)
        self._model_id = model.model_id
        similarity = parameters.match_similarity or model.match_similarity
        self._can_match = similarity is not None
        if not self._can_match:
            rospy.logwarn(
                "~place_matches stays silent: the weights' JSON does not say how alike two embeddings of one place are "
                "(about.recognition.threshold); set ~match_similarity, or take weights that say it"
            )
        self._places = PlaceIndex(
            model.embedding_length,
            similarity,
            parameters.match_after,
            parameters.max_matches,
            parameters.max_places,
        )
        self._camera_frame_id = ""  # of the newest image
        self._predicted_stamp = 0  # of the newest odometry that a view was predicted for
        self._replaced = 0  # images replaced by newer ones, when an image was last looked at

    def follow_episode(self) -> None:
        """Begin the episode that is on, where another one was."""
        if self.scene.episode_id != self._episodes.episode:
            self.scene.begin_episode(self._episodes.episode)
            self._predicted_stamp = 0

    def observe(self, posed: PosedImage) -> None:
        """Add an image to the scene if it is worth it, and tell what the scene is now."""
        if self.is_paused:
            self._replaced = posed.replaced  # none of them is missed
            return
        try:
            self._observe(posed)
        except FrameError as error:
            self._drops.count("no transform", str(error))
        except ImageError as error:
            self._drops.count(f"image: {error.kind}", f"{self._topic('image')}: {error}")

    def _observe(self, posed: PosedImage) -> None:
        header = posed.image.header
        if posed.episode != self.scene.episode_id:
            self._drops.count("late", "an image came from before the episode that is on")
            return
        camera = self._frames.camera_frame(posed.odometry, header.frame_id)
        pose = camera_pose(camera, header.frame_id)
        self._camera_frame_id = header.frame_id
        if not self.scene.wants(pose, posed.odometry.stamp):
            self._replaced = posed.replaced  # nor were those wanted that it replaced
            return
        roll = roll_degrees(camera, header.frame_id)
        if abs(roll) > ROLL_DEGREES:
            rospy.logwarn_once(
                f"the camera is rolled by {roll:.0f} degrees, which the model knows nothing of: predictions suffer; "
                f"turn its pictures upright, or look whether TF or ~base_to_camera of {header.frame_id} is right"
            )
        for name in posed.missing:
            topic = self._topic(name)
            self._drops.count(
                f"no {name}",
                f"{topic}: an observation goes without {name}, none came within ~join_tolerance of the image's stamp "
                f"in ~odometry_wait; compare the stamps: rostopic echo {topic}/header",
            )
        steps = StepTimes(self._activity, posed.arrived)
        steps.done("wait for odometry, depth and the worker")
        pictures = self._pictures.make(posed.image, posed.companions, posed.camera_info)
        steps.done("conversion")
        observation = Observation(posed.odometry.stamp, pose, *pictures)
        if self._outputs.has_surprise_listener():
            self._tell_surprise(header, observation)
            steps.done("surprise")
        self._count_missed(observation, posed.replaced)
        self.scene.add(observation)
        steps.done("encoding")
        embedding = self.scene.memory.embedding()
        self._outputs.publish_embedding(embedding, self.scene, header, posed.odometry, camera)
        steps.done("publishing")
        self._activity.happened("keyframes")
        self._activity.took("arrival to embedding", time.monotonic() - posed.arrived)
        self._look_up(embedding, observation, header, posed.odometry.frame_id)
        if self._outputs.has_observations_listener():
            self._outputs.publish_observations(self.scene, posed.odometry.frame_id)

    def _count_missed(self, observation: Observation, replaced: int) -> None:
        """Count keyframes that were due since the last one, where images in between gave way to newer ones."""
        missed = self.scene.missed(observation.pose, observation.stamp, most=replaced - self._replaced)
        self._replaced = replaced
        if missed:
            self._activity.happened("keyframes missed", missed)

    def _look_up(self, embedding: np.ndarray, observation: Observation, image_header: Header, frame_id: str) -> None:
        """Tell which places this one is like, and remember it. frame_id: of the odometry."""
        place = self.scene.episode_id, self.scene.place_id
        matches = self._places.visit(embedding, observation.pose, observation.stamp, *place, frame_id)
        header = Header(stamp=image_header.stamp, frame_id=frame_id)
        if self._can_match:
            self._outputs.publish_matches(self.scene, header, image_header.frame_id, matches)
        if self._outputs.has_places_listener():
            self._outputs.publish_places(self.scene, header, observation.pose, self._places, matches)

    def _tell_surprise(self, header: Header, observation: Observation) -> None:
        error = self.scene.prediction_error(observation) if len(self.scene) else math.nan
        if math.isnan(error):
            return
        surprise = self._usual_error.surprise(error)
        if math.isnan(surprise):
            rospy.loginfo_once(
                f"~surprise begins after {FEWEST} keyframes: the weights' JSON has no evaluation to say what is usual"
            )
        else:
            self._outputs.publish_surprise(header, surprise)

    def answer(self, query: PoseStamped) -> Answer:
        """The view from a pose, with its uncertainty. Raises RequestError."""
        return self._answer(query, self._samples)

    def _answer(self, query: PoseStamped, samples: int) -> Answer:
        odometry = self._inbox.newest_odometry()
        if odometry is None or not len(self.scene):
            raise RequestError("nothing has been observed yet: drive on, and see /diagnostics if this stays")
        try:
            pose = RigidPose.from_message(query.pose)
            asked = self._frames.query(pose, query.header.frame_id, query.header.stamp, odometry)
        except (PoseError, FrameError) as error:
            raise RequestError(str(error)) from error
        remarks: list[str] = []
        predict = partial(self.scene.predict, remark=remarks.append)
        return Answer(self._view(query.header, predict, asked, samples), "; ".join(remarks))

    def publish_answer(self, query: PoseStamped) -> None:
        """The same, to whoever listens; a query that cannot be answered is counted, and a remark on the view logged."""
        try:
            answer = self._answer(query, self._samples_listened_to())
        except RequestError as refusal:
            self._drops.count("queries refused", f"{rospy.resolve_name('query_pose')}: {refusal}")
            return
        if answer.remark:
            self._drops.tell("queries of the unseen", f"{rospy.resolve_name('query_pose')}: {answer.remark}")
        self._outputs.publish_view(answer.view)

    def predict_current(self) -> None:
        """Publish what the camera should see ~predict_ahead from now, if somebody listens and the robot moved on."""
        odometry = self._inbox.odometry_ahead(self._predict_ahead)
        if odometry is None or odometry.stamp == self._predicted_stamp:
            return
        if not len(self.scene) or not self._outputs.has_view_listener():
            return
        self._predicted_stamp = odometry.stamp
        try:
            camera = self._frames.camera_frame(odometry, self._camera_frame_id)
        except FrameError as error:
            self._drops.count("no transform", str(error))
            return
        header = Header(stamp=rospy.Time(nsecs=odometry.stamp), frame_id=self._camera_frame_id)
        pose = camera_pose(camera, self._camera_frame_id)
        samples = self._samples_listened_to()
        self._outputs.publish_view(self._view(header, self.scene.memory.predict, pose, samples))

    def work_in_idle_time(self) -> bool:
        """Do one short step (20 ms) of what can wait; returns whether there was anything to do."""
        return self.scene.work()

    def pause(self, is_paused: bool) -> None:
        """Whether images are left alone from now on."""
        self.is_paused = is_paused

    def start_over(self) -> int:
        """Forget the scene; returns the number of the episode that begins."""
        self._episodes.begin()
        self.follow_episode()
        return self.scene.episode_id

    def map_to_save(self) -> tuple[PlaceMap, str]:
        """Everything that is known of places, and the model that it comes from."""
        return self._places.contents(), self._model_id

    def add_map(self, added: PlaceMap, model_id: str, source: str) -> AddedMap:
        """Add a map's places that are not there already, as far as there is room, under episode numbers of their own.

        source: for messages.

        Raises RequestError where another model made it.
        """
        if model_id != self._model_id:
            raise RequestError(
                f"{source}: made by the model {model_id!r:.20}, but this node runs {self._model_id}, whose embeddings "
                "are others: set ~weights to those, or make a new map"
            )
        if added.embeddings.shape[1] != self._places.embedding_length:
            raise RequestError(
                f"{source}: its embeddings have {added.embeddings.shape[1]} numbers, those of this model "
                f"{self._places.embedding_length}: it was written by another version, make a new map"
            )
        unknown = self._places.unknown(added)
        first_episode = self._episodes.reserve(len(np.unique(unknown.ids[:, 0])))
        return AddedMap(first_episode, self._places.add(unknown, first_episode), len(added.ids) - len(unknown.ids))

    def _samples_listened_to(self) -> int:
        """For the uncertainty, where the model does not say it itself; they take most of the work: none while nobody
        listens to it."""
        return self._samples if self._outputs.has_uncertainty_listener() else 0

    def _view(
        self, header: Header, predict: Callable[..., PredictedView], pose: CameraPose, samples: int
    ) -> ViewMessages:
        """predict: the scene's way of predicting, or its memory's."""
        self._activity.happened("views")
        return self._outputs.view_messages(header, predict(pose, samples, between=self._observe_what_came))

    def _observe_what_came(self) -> None:
        """Add an image that came while a view is predicted, which takes longer than an image should wait.

        Not where an episode begins, which has to wait for the view.
        """
        posed = self._inbox.take_image() if self.scene.episode_id == self._episodes.episode else None
        if posed is not None:
            self.observe(posed)
