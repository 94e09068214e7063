#!/usr/bin/env python3
"""How a node starts and ends: fast, and with one line that says why where it cannot start."""

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rospy
import rostest
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from robot import (
    PATIENCE,
    REPOSITORY,
    Collected,
    Diagnostics,
    Robot,
    WeightsCase,
    end,
    running_node,
    save_tiny_weights,
    start_node,
    wait_until,
)
from rosgraph_msgs.msg import Log

NUMBERS = itertools.count()
SHUTDOWN_SECONDS = 10.0  # roslaunch kills a node after 15
START_MOMENTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5)  # seconds: of loading, of registering, of making the node
STOPPED_SECONDS = 0.3  # longer than a node leaves between two looks at its signals


class Lifecycle(WeightsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.robot = Robot()

    def assert_refuses_to_start(self, *parts, **parameters):
        """The node ends by itself, with a status that is not 0, and one line that has these parts."""
        process = start_node(f"refused_{next(NUMBERS)}", **parameters)  # parameters stay on the server by name
        self.addCleanup(end, process)
        self.assert_fails_in_one_line(process, *parts)

    def assert_fails_in_one_line(self, process, *parts):
        output, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, output)
        fatal = [text for text in output.splitlines() if "FATAL" in text]
        self.assertEqual(len(fatal), 1, output)
        for part in parts:
            self.assertIn(part, fatal[0])
        self.assertNotIn("Traceback", output)

    def test_missing_weights(self):
        self.assert_refuses_to_start("there is no /nowhere", weights="/nowhere")
        shipped = ", ".join(sorted(path.name for path in (REPOSITORY / "weights").iterdir()))
        self.assert_refuses_to_start(
            "is 'placenet-smal', but there is no", f"folder weights/ ({shipped})", weights="placenet-smal"
        )
        relative = f"no {Path.cwd()}/runs/mine: relative paths are taken from the folder that the node runs in"
        self.assert_refuses_to_start(relative, weights="runs/mine")

    def test_damaged_weights(self):
        damaged = save_tiny_weights(self.folder / "damaged")
        data = bytearray((damaged / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (damaged / "model.safetensors").write_bytes(data)
        self.assert_refuses_to_start("damaged", weights=damaged)

    def test_weights_of_another_architecture(self):
        other = save_tiny_weights(self.folder / "other")
        path = other / "model.json"
        path.write_text(path.read_text().replace('"layers": 2', '"layers": 2, "rooms": 3'))
        self.assert_refuses_to_start("unknown model setting 'rooms'", weights=other)

    def test_unknown_parameter(self):
        self.assert_refuses_to_start("unknown parameter ~wieghts; the nearest is ~weights", wieghts="x")

    def test_gpu_that_is_not_there(self):
        self.assert_refuses_to_start("parameter ~device is 'cuda:99'", weights=self.weights, device="cuda:99")

    def test_running_node_ends_at_once_and_cleanly_when_told_to(self):
        for number, told in enumerate((signal.SIGINT, signal.SIGTERM)):
            name = f"told_{number}"
            with running_node(self.weights, name, predict_rate=50.0, prediction_samples=8) as process:
                Collected(f"/{name}/model_info", ModelInfo).wait_for()
                self.robot.wait_for_node()
                embeddings = Collected(f"/{name}/place_embedding", PlaceEmbedding)
                self.robot.see(0.3 * number)
                embeddings.wait_for()
                self.assert_ends_when_told(process, told, SHUTDOWN_SECONDS)

    def test_silent_input_is_named_once_with_what_to_do(self):
        log = Collected("/rosout", Log).wait_until_connected()
        diagnostics = Diagnostics("lonely")
        process = start_node("lonely", namespace="/nowhere", weights=self.weights, silence_warning=0.5)
        self.addCleanup(end, process)
        log.wait_for(lambda message: "odom: nobody publishes /nowhere/odom" in message.msg)
        log.wait_for(lambda message: "objects: nobody publishes /nowhere/objects" in message.msg)
        summaries = [diagnostics.next()["summary"] for _ in range(3)]
        told = [message.msg for message in log.messages if "nobody publishes" in message.msg]
        names = [line.split(": ")[0] for line in told]
        self.assertEqual(names, ["image", "camera_info", "odom", "depth", "objects"])
        self.assertEqual(summaries[-1], "silent: image, camera_info, odom")  # there may be no others
        self.assertTrue(all("rostopic list" in line and ":=/" in line for line in told), told)

    def test_depth_camera_that_stops_is_told(self):
        log, diagnostics = Collected("/rosout", Log).wait_until_connected(), Diagnostics("blinded")
        with running_node(self.weights, "blinded", silence_warning=0.5):
            Collected("/blinded/model_info", ModelInfo).wait_for()
            self.robot.wait_for_node()
            self.robot.see(0.0)
            log.wait_for(lambda message: "depth: nothing arrives on /robot/depth" in message.msg)
            self.assertIn("depth", diagnostics.next()["summary"])

    def test_camera_may_be_placed_on_the_robot_by_a_parameter(self):
        mounted = "[0.25, 0.0, 1.5, -0.5, 0.5, -0.5, 0.5]"
        with running_node(self.weights, "mounted", base_to_camera=mounted):
            Collected("/mounted/model_info", ModelInfo).wait_for()
            self.robot.wait_for_node()
            self.robot.see(0.5)
            found = Collected("/mounted/place_embedding", PlaceEmbedding).wait_for()
        at = found.pose.pose.position
        np.testing.assert_allclose((at.x, at.y, at.z), (0.75, 0.0, 1.5), atol=1e-6)

    def test_node_that_is_still_starting_ends_cleanly_at_any_moment(self):
        for number, moment in enumerate(START_MOMENTS):
            process = start_node(f"starting_{number}", weights=self.weights)
            self.addCleanup(end, process)
            wait_until(lambda process=process: holds_back_signals(process), "Python does not start")
            time.sleep(moment)
            self.assert_ends_when_told(process, signal.SIGINT, PATIENCE)  # not while a library is being loaded

    def test_failure_to_start_is_told_also_where_the_node_is_told_to_end_at_the_same_time(self):
        told = [self.started_awkwardly("fails_once_told_to_end"), self.started_awkwardly("fails_as_it_is_told_to_end")]
        for process in told:
            self.assert_fails_in_one_line(process, "parameter ~late cannot be")

    def test_node_that_is_told_to_end_before_it_has_started_says_so(self):
        told = [self.started_awkwardly("starts_for_ever"), self.started_awkwardly("publishes_once_told_to_end")]
        for process in told:
            output = self.assert_ends(process, PATIENCE)
            self.assertEqual(output.count("told to end before it had started"), 1, output)
            self.assertNotIn("FATAL", output)

    def started_awkwardly(self, kind):
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "test" / "node" / "starting_nodes.py"), kind, f"__name:={kind}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(end, process)
        return process

    def test_node_that_was_stopped_for_a_while_goes_on(self):
        with running_node(self.weights, "stopped") as process:
            Collected("/stopped/model_info", ModelInfo).wait_for()
            self.robot.wait_for_node()
            embeddings = Collected("/stopped/place_embedding", PlaceEmbedding)
            for _ in range(3):
                process.send_signal(signal.SIGSTOP)
                time.sleep(STOPPED_SECONDS)
                process.send_signal(signal.SIGCONT)
                time.sleep(STOPPED_SECONDS)
            self.assertIsNone(process.poll())
            self.robot.see(0.9)
            embeddings.wait_for()

    def assert_ends_when_told(self, process, told, seconds):
        process.send_signal(told)
        self.assert_ends(process, seconds)

    def assert_ends(self, process, seconds):
        output, _ = process.communicate(timeout=seconds)
        self.assertEqual(process.returncode, 0, output)
        self.assertNotIn("Traceback", output)
        return output


def holds_back_signals(process):
    """Whether SIGINT waits until the process asks for it: before that, it is Python that starts."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    return int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1


if __name__ == "__main__":
    rospy.init_node("lifecycle")
    rostest.rosrun("placenet_ros", "lifecycle", Lifecycle)
