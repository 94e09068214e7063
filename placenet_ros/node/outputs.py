"""Publishers and their messages: stamps and frames from the inputs, and for each message a header of its own."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple, Sequence

import numpy as np
import rospy
from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovariance, Quaternion
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from placenet_ros.msg import ModelInfo, PlaceEmbedding, PlaceMatch, PlaceMatches, Surprise
from placenet_ros.node.images import camera_info_message, fresh_header, image_message
from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.place_markers import PlaceMarkers
from placenet_ros.node.rigid_pose import OPTICAL_IN_BODY, RigidPose, looks_along_z
from placenet_ros.scene.place_index import Match, Place, PlaceIndex
from placenet_ros.scene.viewpoints import CameraPose

if TYPE_CHECKING:  # these import PyTorch, which only the worker may wait for
    from placenet_ros.node.live_scene import LiveScene
    from placenet_ros.node.loading import LoadedModel
    from placenet_ros.scene.memory import PredictedView

QUEUE = 10  # messages kept for a listener that is slow


class ViewMessages(NamedTuple):
    """One predicted view."""

    image: Image  # rgb8
    camera_info: CameraInfo
    uncertainty: Image | None  # 32FC1, 0..1; None: not asked for
    depth: Image | None  # 32FC1, metres; None: the weights predict none
    objects: Image | None  # mono8, class ids; None likewise


class NewListeners(rospy.SubscribeListener):
    """Sets an event when somebody begins to listen."""

    def __init__(self, has_come: threading.Event):
        super().__init__()
        self._has_come = has_come

    def peer_subscribe(self, topic_name, topic_publish, peer_publish):
        self._has_come.set()


class Outputs:
    """All publishers of the node.

    model: what is known of the weights; published at once, latched. map_frames_agree: as the parameter.
    """

    def __init__(self, model: LoadedModel, max_observations: int, map_frames_agree: bool):
        self._model, self._map_frames_agree = model, map_frames_agree
        self._image = rospy.Publisher("~predicted/image", Image, queue_size=QUEUE)
        self._camera_info = rospy.Publisher("~predicted/camera_info", CameraInfo, queue_size=QUEUE)
        self._uncertainty = rospy.Publisher("~predicted/uncertainty", Image, queue_size=QUEUE)
        # Of what the weights predict beside colours; topics of what they do not would stay silent for ever.
        self._further = {
            name: rospy.Publisher(f"~predicted/{name}", Image, queue_size=QUEUE)
            for name in ("depth", "objects")
            if name in model.predictions
        }
        self._embedding = rospy.Publisher("~place_embedding", PlaceEmbedding, queue_size=QUEUE, latch=True)
        self._matches = rospy.Publisher("~place_matches", PlaceMatches, queue_size=QUEUE)
        self._markers = PlaceMarkers()
        self._has_new_places_listener = threading.Event()
        self._places = rospy.Publisher(
            "~places", MarkerArray, NewListeners(self._has_new_places_listener), queue_size=QUEUE
        )
        self._surprise = rospy.Publisher("~surprise", Surprise, queue_size=QUEUE)
        self._observations = rospy.Publisher("~observations", Path, queue_size=QUEUE)
        self._model_info = rospy.Publisher("~model_info", ModelInfo, queue_size=1, latch=True)
        self._model_info.publish(_model_info(model, max_observations))

    # ---- Who listens ----

    def has_view_listener(self) -> bool:
        publishers = (self._image, self._uncertainty, *self._further.values())
        return any(publisher.get_num_connections() > 0 for publisher in publishers)

    def has_uncertainty_listener(self) -> bool:
        return self._uncertainty.get_num_connections() > 0

    def has_surprise_listener(self) -> bool:
        return self._surprise.get_num_connections() > 0

    def has_observations_listener(self) -> bool:
        return self._observations.get_num_connections() > 0

    def has_places_listener(self) -> bool:
        return self._places.get_num_connections() > 0

    # ---- What is sent ----

    def view_messages(self, header: Header, view: PredictedView) -> ViewMessages:
        """A predicted view as messages with this stamp and frame."""
        return ViewMessages(
            image_message(header, view.image, "rgb8"),
            camera_info_message(header, self._model.camera),
            _image_or_none(header, view.uncertainty, "32FC1"),
            _image_or_none(header, view.depth, "32FC1"),
            _image_or_none(header, view.class_ids, "mono8"),
        )

    def publish_view(self, messages: ViewMessages) -> None:
        self._image.publish(messages.image)
        self._camera_info.publish(messages.camera_info)
        if messages.uncertainty is not None:
            self._uncertainty.publish(messages.uncertainty)
        for name, publisher in self._further.items():
            publisher.publish(getattr(messages, name))

    def publish_embedding(
        self,
        embedding: np.ndarray,
        scene: LiveScene,
        image_header: Header,
        odometry: OdometrySample,
        camera: RigidPose,
    ) -> None:
        """The scene's embedding after an observation.

        image_header: of the newest image. odometry: at its stamp. camera: pose of its frame in the odometry's frame.
        """
        stamps = scene.embedded_stamps
        self._embedding.publish(
            PlaceEmbedding(
                header=Header(stamp=image_header.stamp, frame_id=odometry.frame_id),
                episode_id=scene.episode_id,
                place_id=scene.place_id,
                num_observations=len(stamps),
                first_stamp=rospy.Time(nsecs=stamps[0]),
                child_frame_id=image_header.frame_id,
                pose=PoseWithCovariance(_pose(camera.position, camera.quaternion), odometry.covariance),
                model_id=self._model.model_id,
                shape=[len(embedding)],
                data=embedding.tolist(),
            )
        )

    def publish_matches(
        self, scene: LiveScene, header: Header, camera_frame_id: str, matches: Sequence[Match]
    ) -> None:
        """header: of the embedding that was looked up. camera_frame_id: of its image."""
        self._matches.publish(
            PlaceMatches(
                header=fresh_header(header),
                episode_id=scene.episode_id,
                place_id=scene.place_id,
                model_id=self._model.model_id,
                matches=[
                    PlaceMatch(
                        match.place.episode_id,
                        match.place.place_id,
                        match.similarity,
                        rospy.Time(nsecs=match.stamp),
                        camera_frame_pose(match.pose, camera_frame_id),
                        self._is_in_frame(match.place, scene, header.frame_id),
                    )
                    for match in matches
                ],
            )
        )

    def publish_places(
        self, scene: LiveScene, header: Header, pose: CameraPose, places: PlaceIndex, matches: Sequence[Match]
    ) -> None:
        """Markers of the places whose poses are in the odometry's frame, and of the best match if it is one of them.

        header: of the embedding. pose: of the camera there.
        """
        shown = [place for place in places if self._is_in_frame(place, scene, header.frame_id)]
        best = matches[0] if matches and self._is_in_frame(matches[0].place, scene, header.frame_id) else None
        update = self._markers.update
        if self._has_new_places_listener.is_set():
            self._has_new_places_listener.clear()  # here alone: who comes in between is told by the next ones
            update = self._markers.update_all
        here = scene.episode_id, scene.place_id
        self._places.publish(update(header, shown, here, pose, best))

    def _is_in_frame(self, place: Place, scene: LiveScene, frame_id: str) -> bool:
        """Whether a place's poses hold in the odometry's frame as it is now."""
        return place.episode_id == scene.episode_id or (self._map_frames_agree and place.frame_id == frame_id)

    def publish_surprise(self, image_header: Header, value: float) -> None:
        self._surprise.publish(Surprise(fresh_header(image_header), value))

    def publish_observations(self, scene: LiveScene, frame_id: str) -> None:
        """Poses of the observations held, in the odometry's frame, looking along x; each with its own stamp."""
        observations = scene.observations
        path = Path(header=Header(stamp=rospy.Time(nsecs=observations[-1].stamp), frame_id=frame_id))
        for observation in observations:
            header = Header(stamp=rospy.Time(nsecs=observation.stamp), frame_id=frame_id)
            path.poses.append(PoseStamped(header, body_pose(observation.pose)))
        self._observations.publish(path)


def _image_or_none(header: Header, values: np.ndarray | None, encoding: str) -> Image | None:
    return None if values is None else image_message(header, values, encoding)


def _model_info(model: LoadedModel, max_observations: int) -> ModelInfo:
    return ModelInfo(
        model_id=model.model_id,
        model_name=model.name,
        weights_sha256=model.sha256,
        num_parameters=model.num_parameters,
        image_height=model.camera.height,
        image_width=model.camera.width,
        field_of_view=model.field_of_view,
        modalities=model.modalities,
        predictions=model.predictions,
        position_scale=model.position_scale,
        max_observations=max_observations,
        embedding_shape=[model.embedding_length],
        training_samples=model.training_samples,
        evaluation_queries=model.evaluation.queries,
        evaluation_rmse=model.evaluation.rmse,
        evaluation_rmse_nearest_image=model.evaluation.rmse_nearest_image,
        evaluation_rmse_mean_image=model.evaluation.rmse_mean_image,
    )


def _pose(position: Sequence[float], quaternion: Sequence[float]) -> Pose:
    return Pose(Point(*position), Quaternion(*quaternion))


def camera_frame_pose(pose: CameraPose, camera_frame_id: str) -> Pose:
    """A camera pose with the axes that its frame's name stands for."""
    if not looks_along_z(camera_frame_id):
        return body_pose(pose)
    optical = RigidPose.from_message(body_pose(pose)) @ OPTICAL_IN_BODY
    return _pose(optical.position, optical.quaternion)


def body_pose(pose: CameraPose) -> Pose:
    """A camera pose with REP 103 body axes: turned by yaw about z, then up by pitch (about -y)."""
    sin_yaw, cos_yaw = math.sin(pose.yaw / 2), math.cos(pose.yaw / 2)
    sin_pitch, cos_pitch = math.sin(pose.pitch / 2), math.cos(pose.pitch / 2)
    return _pose(pose.position, (sin_yaw * sin_pitch, -cos_yaw * sin_pitch, sin_yaw * cos_pitch, cos_yaw * cos_pitch))
