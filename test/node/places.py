#!/usr/bin/env python3
"""A running node knows places again: matches, markers, and maps that outlive it."""


import numpy as np
import rospy
import rostest
from placenet_ros.msg import ModelInfo, PlaceEmbedding, PlaceMatches
from placenet_ros.srv import MapFile
from robot import (
    CAMERA,
    CAMERA_FRAME,
    CAMERA_HEIGHT,
    PATIENCE,
    Collected,
    Robot,
    WeightsCase,
    running_node,
    wait_until,
)
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from placenet_ros.model import PlaceNet

NODE = "/placenet_node"
AFTER = 4.0  # metres, ~match_after
STEP = 0.5  # metres between two pictures
# Each observation begins a place and is all that its embedding is of: the same picture then has the same embedding
# wherever it is taken, and no training is needed to tell places apart.
SETTINGS = {"anchor_range": 0.3, "max_observations": 1, "archive_megabytes": 0.0, "odometry_jump": 0.0}
SETTINGS.update(match_similarity=0.99999, match_after=AFTER, map_frames_agree=False)


def plain_picture(seed):
    """Of one of eight colours, whose embeddings are farther apart than that."""
    return np.full((CAMERA.height, CAMERA.width, 3), [255 * (seed >> channel & 1) for channel in range(3)], np.uint8)


class Places(WeightsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.robot = Robot()

    def start(self, weights=None, **settings):
        """A node on the robot; returns how to end it."""
        node = running_node(weights or self.weights, **dict(SETTINGS, **settings))
        node.__enter__()
        self.ends = [lambda: node.__exit__(None, None, None)]
        self.addCleanup(self.end)
        self.model = Collected(f"{NODE}/model_info", ModelInfo)
        self.embeddings = Collected(f"{NODE}/place_embedding", PlaceEmbedding)
        self.matches = Collected(f"{NODE}/place_matches", PlaceMatches)
        self.model.wait_for()
        self.robot.wait_for_node()
        for collected in (self.embeddings, self.matches):
            collected.wait_until_connected()
        for service in ("save_map", "load_map", "reset"):
            rospy.wait_for_service(f"{NODE}/{service}", PATIENCE)
        self.reset = rospy.ServiceProxy(f"{NODE}/reset", Trigger)

    def end(self):
        for end in self.ends:
            end()
        self.ends = []
        for collected in (self.model, self.embeddings, self.matches):
            collected.close()

    def ask(self, service, path):
        found = rospy.ServiceProxy(f"{NODE}/{service}", MapFile)(str(path))
        self.assertTrue(found.message and "\n" not in found.message, found.message)
        return found

    def see(self, x, seed):
        """The embedding and the matches of a picture there."""
        stamp = self.robot.see(x, colours=plain_picture(seed))
        embedding = self.embeddings.wait_for(lambda message: message.header.stamp == stamp)
        return embedding, self.matches.wait_for(lambda message: message.header.stamp == stamp)

    def drive(self, steps):
        """See a picture of its own at each step; what was told at each."""
        return [self.see(STEP * step, seed=step) for step in steps]

    def test_a_robot_that_returns_is_told_the_earlier_place(self):
        self.start()
        out = self.drive(range(8))
        for _, matches in out:
            self.assertEqual(matches.matches, [])
        back = self.drive(range(6, -1, -1))
        for (then, _), (now, found) in zip(reversed(out[:-1]), back):
            metres = 2 * (7 * STEP - now.pose.pose.position.x)  # travelled since then
            self.assertEqual((found.header.stamp, found.header.frame_id), (now.header.stamp, now.header.frame_id))
            self.assertEqual((found.episode_id, found.place_id), (now.episode_id, now.place_id))
            self.assertEqual(found.model_id, now.model_id)
            if metres < AFTER - 0.01:
                self.assertEqual(found.matches, [], f"after {metres} m")
            elif metres > AFTER + 0.01:
                [match] = found.matches
                self.assertEqual((match.episode_id, match.place_id), (then.episode_id, then.place_id))
                self.assertEqual(match.stamp, then.header.stamp)
                self.assertGreater(match.similarity, SETTINGS["match_similarity"])
                self.assertTrue(match.in_header_frame)
                self.assert_same_pose(match.pose, then.pose.pose)
        self.assertGreater(metres, AFTER)

        # Another episode: its places match at once, their poses are in another frame.
        self.assertTrue(self.reset().success)
        now, found = self.see(100.0, seed=3)
        self.assertEqual(now.episode_id, 2)
        told = [(match.episode_id, match.in_header_frame) for match in found.matches]
        self.assertEqual(told, [(1, False)] * 2)  # on the way out and on the way back

        self.assert_maps_are_kept_and_refused(found)

    def assert_maps_are_kept_and_refused(self, before):
        path = self.folder / "flat.map"
        self.assertTrue(self.ask("save_map", path).success)
        for bad, complaint in {
            "flat.map": "is no whole path",
            "/nowhere/flat.map": "No such file or directory",
            self.folder: "no map",
            self.weights / "model.safetensors": "no map",
        }.items():
            for service in ("save_map", "load_map"):
                refused = self.ask(service, bad)
                self.assertFalse(refused.success)
                self.assertIn(complaint, refused.message)
        damaged = self.folder / "damaged.map"
        damaged.write_bytes(path.read_bytes()[:-100])
        self.assertFalse(self.ask("load_map", damaged).success)
        _, still = self.see(101.0, seed=3)
        self.assertEqual([(m.episode_id, m.place_id) for m in still.matches],
                         [(m.episode_id, m.place_id) for m in before.matches])

        # A node that starts anew in the same house.
        self.end()
        self.start()
        _, found = self.see(0.0, seed=3)
        self.assertEqual(found.matches, [])
        loaded = self.ask("load_map", path)
        self.assertTrue(loaded.success, loaded.message)
        count = int(loaded.message.split(" loaded ")[1].split()[0])
        again = self.ask("load_map", path)
        self.assertTrue(again.success, again.message)
        self.assertIn(f"there already: {count} place", again.message)
        now, found = self.see(STEP, seed=4)
        self.assertEqual(now.episode_id, 1)
        for match in found.matches:
            self.assertGreater(match.episode_id, 1)
            self.assertFalse(match.in_header_frame)
            np.testing.assert_allclose(match.pose.position.x, 4 * STEP, atol=1e-6)
        # The next episode has a number that no place of the map has.
        self.assertTrue(self.reset().success)
        now, found = self.see(50.0, seed=4)
        self.assertNotIn(now.episode_id, [match.episode_id for match in found.matches])
        self.assertEqual({match.episode_id for match in found.matches}, {1, 2})  # of the episode before, of the map

        # Other weights.
        self.end()
        other = PlaceNet.from_pretrained(self.weights)
        for weight in other.parameters():
            weight.data *= 1.01
        other.save_pretrained(self.folder / "other", {"name": "other"})
        self.start(self.folder / "other")
        refused = self.ask("load_map", path)
        self.assertFalse(refused.success)
        for model_id in (before.model_id, self.model.messages[0].model_id):
            self.assertIn(model_id, refused.message)

    def test_a_localised_robot_sees_the_loaded_places_where_they_are(self):
        self.start(map_frames_agree=True)
        self.drive(range(2))
        path = self.folder / "here.map"
        self.assertTrue(self.ask("save_map", path).success)
        self.end()
        self.start(map_frames_agree=True)
        self.drive(range(2))
        self.assertTrue(self.ask("load_map", path).success)
        self.assertTrue(self.ask("save_map", path).success)
        self.assertIn("there already: 4 places", self.ask("load_map", path).message)
        _, found = self.see(3.0, seed=1)
        [match] = found.matches
        self.assertTrue(match.in_header_frame)
        self.assertEqual(match.pose.position.x, STEP)

        markers = Collected(f"{NODE}/places", MarkerArray).wait_until_connected()
        self.addCleanup(markers.close)
        now, found = self.see(3.5, seed=0)
        shown = markers.wait_for()
        self.assertEqual(shown.markers[0].action, Marker.DELETEALL)
        boxes = [marker for marker in shown.markers if marker.ns == "places"]
        names = {marker.text for marker in shown.markers if marker.ns == "place ids"}
        self.assertEqual(len(boxes), 6)
        self.assertEqual(names, {"1", "2", "3", "4", "2.1", "2.2"})  # of the drive, of the map
        [line] = [marker for marker in shown.markers if marker.ns == "match"]
        self.assertEqual((line.action, line.header.stamp), (Marker.ADD, now.header.stamp))
        self.assertEqual(line.header.frame_id, now.header.frame_id)
        np.testing.assert_allclose([point.x for point in line.points], [3.5, 0.0], atol=1e-6)

        # Only what changed is told again, and no line where nothing matches.
        now, _ = self.see(4.0, seed=6)
        told = markers.wait_for(lambda message: message.markers[-1].header.stamp == now.header.stamp)
        names = [marker.text for marker in told.markers if marker.ns == "place ids"]
        self.assertEqual(names, ["4", "5"])  # the robot left one, and came to another
        self.assertEqual(told.markers[-1].action, Marker.DELETE)

    def test_weights_that_do_not_say_how_alike_places_are_match_nothing(self):
        node = running_node(self.weights, **dict(SETTINGS, match_similarity=0.0))
        process = node.__enter__()
        self.addCleanup(node.__exit__, None, None, None)
        embeddings = Collected(f"{NODE}/place_embedding", PlaceEmbedding)
        matches = Collected(f"{NODE}/place_matches", PlaceMatches)
        self.addCleanup(embeddings.close)
        self.addCleanup(matches.close)
        self.robot.wait_for_node()
        stamp = self.robot.see(0.0, seed=1)
        embeddings.wait_for(lambda message: message.header.stamp == stamp)
        self.assertEqual(matches.messages, [])
        process.terminate()
        wait_until(lambda: process.poll() is not None, "the node does not end")
        told = [line for line in process.stdout.read().splitlines() if "place_matches stays silent" in line]
        self.assertEqual(len(told), 1, told)
        self.assertIn("set ~match_similarity", told[0])

    def assert_same_pose(self, found, expected):
        at = found.position
        np.testing.assert_allclose((at.x, at.y, at.z), (expected.position.x, 0.0, CAMERA_HEIGHT), atol=1e-6)
        turns = [(q.x, q.y, q.z, q.w) for q in (found.orientation, expected.orientation)]
        self.assertGreater(abs(np.dot(*turns)), 1 - 1e-6, f"{turns}, axes of {CAMERA_FRAME}")


if __name__ == "__main__":
    rospy.init_node("places")
    rostest.rosrun("placenet_ros", "places", Places)
