"""The node placenet_node: which parts it has and how they hang together.

    inputs ----(newest image, odometry, queries)----> inbox ----> worker: tasks on the scene ----> outputs
    services ------------(requests)-------------------^                     |
    heartbeat: /clock, silence, diagnostics                                frames (odometry, TF)

Callbacks store and return; the worker alone touches the model. Each part has its file in this folder.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable

import rospkg
import rospy
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, SetBoolRequest, SetBoolResponse, Trigger, TriggerRequest, TriggerResponse

from placenet_ros.node.activity import Activity
from placenet_ros.node.diagnostics import Diagnostics
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.episodes import EpisodeWatch
from placenet_ros.node.frames import Frames
from placenet_ros.node.heartbeat import Heartbeat
from placenet_ros.node.inbox import Inbox
from placenet_ros.node.inputs import COMPANIONS, TRANSFORM, Inputs, named_companions
from placenet_ros.node.live_scene import LiveScene
from placenet_ros.node.map_services import MapServices
from placenet_ros.node.parameters import NodeParameters, ParameterError
from placenet_ros.node.request import Request, RequestError
from placenet_ros.node.running import run_node
from placenet_ros.node.silence import SilenceWatch
from placenet_ros.node.tasks import Tasks
from placenet_ros.node.worker import Worker
from placenet_ros.srv import PredictView, PredictViewRequest, PredictViewResponse

STOP_SECONDS = 0.5  # for what the worker is doing to end


class PlaceNetNode:
    """All parts of the node, started. failed: called with what ended the worker or heartbeat, if anything does.

    Raises ParameterError for parameters that cannot be.
    """

    def __init__(self, parameters: NodeParameters, failed: Callable[[Exception], None]):
        self._parameters = parameters
        self._weights = weights_path(parameters.weights)
        self._tasks: Tasks | None = None
        self._activity = Activity()
        self._drops = DropCounter(rospy.logwarn, rospy.loginfo)
        self._episodes = EpisodeWatch(parameters.reset_on_time_jump)
        pose_input = "odom" if parameters.transform is None else TRANSFORM
        is_simulated = rospy.get_param("/use_sim_time", False)
        inputs = ["image", "camera_info", pose_input]
        if parameters.depth_and_objects_expected:
            inputs += named_companions()
        self._silence = SilenceWatch(inputs, parameters.silence_warning, is_simulated, optional=COMPANIONS)
        self._frames = Frames(parameters.base_to_camera)
        self._inbox = Inbox(
            parameters.odometry_buffer,
            parameters.odometry_wait,
            parameters.odometry_jump,
            parameters.join_tolerance,
            self._episodes,
            self._drops,
        )
        self._inputs = Inputs(
            self._inbox,
            self._drops,
            self._silence,
            self._activity,
            self._frames,
            parameters.compressed_inputs,
            parameters.transform,
            self._on_query,
        )
        period = 1 / parameters.predict_rate if parameters.predict_rate else 0.0
        self._worker = Worker(self._inbox, self._make_tasks, period, failed)
        diagnostics = Diagnostics(
            self._inbox,
            self._activity,
            self._drops,
            self._silence,
            self._scene,
            self._is_paused,
            self._inputs.silence_line,
            is_simulated,
        )
        self._heartbeat = Heartbeat(self._on_clock if is_simulated else None, diagnostics.beat, failed)
        self._services = [
            rospy.Service("~predict_view", PredictView, self._on_predict_view),
            rospy.Service("~reset", Trigger, self._on_reset),
            rospy.Service("~pause", SetBool, self._on_pause),
        ]
        self._maps = MapServices(self._ask)
        rospy.on_shutdown(lambda: self._worker.stop(STOP_SECONDS))
        self._worker.start()
        self._heartbeat.start()

    # ---- Worker ----

    def _make_tasks(self) -> Tasks:
        rospy.loginfo(f"loading {self._weights.name} ...")  # takes up to 20 s, where nothing else is said
        # PyTorch's threads are to sleep while they wait: spinning takes the cores from the robot's other nodes, and
        # made a view take up to twenty times as long on a busy machine of two cores. Read when PyTorch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from placenet_ros.node.loading import load_model  # imports PyTorch: seconds that only the worker may wait

        model = load_model(self._weights, self._parameters, rospy.logwarn)
        self._tasks = Tasks(
            model,
            self._parameters,
            self._inbox,
            self._frames,
            self._episodes,
            self._drops,
            self._activity,
            self._inputs.topic,
        )
        self._silence.begin(time.monotonic())
        rospy.loginfo(
            f"ready: {model.name} ({model.num_parameters / 1e6:.1f} million parameters, {model.model_id}) "
            f"on {self._parameters.device}"
        )
        return self._tasks

    def _on_clock(self, now: int) -> None:
        self._inbox.note_clock(now)
        self._silence.heard_clock(now, time.monotonic())

    def _scene(self) -> LiveScene | None:
        return None if self._tasks is None else self._tasks.scene

    def _is_paused(self) -> bool:
        return self._tasks is not None and self._tasks.is_paused

    # ---- Requests ----

    def _on_query(self, query: PoseStamped) -> None:
        self._inbox.put_request(Request(lambda tasks: tasks.publish_answer(query), is_query=True))

    def _on_predict_view(self, asked: PredictViewRequest) -> PredictViewResponse:
        try:
            answer = self._ask(Request(lambda tasks: tasks.answer(asked.pose)))
        except RequestError as refusal:
            return PredictViewResponse(success=False, message=str(refusal))
        pictures = {name: Image() if picture is None else picture for name, picture in answer.view._asdict().items()}
        return PredictViewResponse(success=True, message=answer.remark, **pictures)

    def _on_reset(self, _: TriggerRequest) -> TriggerResponse:
        try:
            episode = self._ask(Request(lambda tasks: tasks.start_over()))
        except RequestError as refusal:
            return TriggerResponse(success=False, message=str(refusal))
        line = f"episode {episode} begins"
        self._drops.inform("reset", f"~reset: {line}, and what was seen before is forgotten")
        return TriggerResponse(success=True, message=line)

    def _on_pause(self, asked: SetBoolRequest) -> SetBoolResponse:
        try:
            self._ask(Request(lambda tasks: tasks.pause(asked.data)))
        except RequestError as refusal:
            return SetBoolResponse(success=False, message=str(refusal))
        line = "paused: no image becomes an observation" if asked.data else "goes on: images become observations"
        self._drops.inform("pause", f"~pause: {line}")
        return SetBoolResponse(success=True, message=line)

    def _ask(self, request: Request):
        self._inbox.put_request(request)
        return request.wait(self._parameters.service_timeout, lambda: self._tasks is None)


def weights_path(weights: str) -> Path:
    """The folder or file of ~weights: a path, or a name in this package's folder weights/. Raises ParameterError."""
    path = Path(os.path.expanduser(weights))  # leaves ~UNKNOWN as it is, where Path.expanduser raises
    shipped = Path(rospkg.RosPack().get_path("placenet_ros")) / "weights"
    if "/" not in weights:
        path = shipped / weights
    if weights and path.exists():
        return path
    found = f"parameter ~weights is '{weights}', but there is no {path.absolute()}: "
    if not path.is_absolute():
        raise ParameterError(
            f"{found}relative paths are taken from the folder that the node runs in, which roslaunch chooses; give the "
            f"whole path, weights:=$PWD/{path}"
        )
    names = ", ".join(sorted(each.name for each in shipped.glob("*"))) or "none"
    raise ParameterError(
        f"{found}give the whole path of a weights folder, or the name of one in the package's folder weights/ ({names})"
    )


def main() -> None:
    """Start the node, stay until it is told to end, and end the process: does not return."""
    run_node(
        "placenet_node",
        lambda failed: PlaceNetNode(NodeParameters.from_dictionary(rospy.get_param("~", {})), failed),
        told_in_one_line=ParameterError,
    )
