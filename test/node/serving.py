#!/usr/bin/env python3
"""A running node serves a robot: stamps and frames, views, embeddings, reset, and input that it cannot use."""

import time

import numpy as np
import rospy
import rostest
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Path as PathMessage
from placenet_ros.msg import Surprise
from robot import (
    CAMERA_FRAME,
    CAMERA_HEIGHT,
    IMAGE_SIZE,
    FreshSceneCase,
    query_pose,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image


class Serving(FreshSceneCase):
    node_settings = {"silence_warning": 1.0, "predict_rate": 5.0, "max_observations": 6, "odometry_trust": 0.0}

    def test_embedding_has_the_stamp_of_its_image_and_the_frames_of_its_inputs(self):
        first = self.robot.see(0.0, seed=1)
        self.embedding_at(first)
        stamp = self.robot.see(0.4, seed=2)
        found = self.embedding_at(stamp)
        self.assertEqual(found.header.frame_id, "odom")
        self.assertEqual(found.child_frame_id, CAMERA_FRAME)
        self.assertEqual(found.first_stamp, first)
        self.assertEqual((found.place_id, found.num_observations), (1, 2))
        at = found.pose.pose.position
        np.testing.assert_allclose((at.x, at.y, at.z), (0.4, 0.0, CAMERA_HEIGHT), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found.data), 1.0, rtol=1e-5)
        self.assertEqual(found.shape, self.model.embedding_shape)
        self.assertEqual(found.model_id, self.model.model_id)

    def test_query_by_topic_is_answered_with_its_own_stamp_and_frame(self):
        self.see_and_wait(0.0)
        image, info = self.listen("predicted/image", Image), self.listen("predicted/camera_info", CameraInfo)
        uncertainty = self.listen("predicted/uncertainty", Image)
        time.sleep(0.5)  # the node learns of a listener a little later than that does of the node
        self.robot.query.publish(query_pose(0.5, label=77.0))
        for collected in (image, info, uncertainty):
            found = collected.wait_for(lambda message: message.header.stamp == rospy.Time(77))
            self.assertEqual(found.header.frame_id, "odom")
            self.assertEqual((found.width, found.height), (IMAGE_SIZE, IMAGE_SIZE))
        self.assertEqual(image.messages[0].encoding, "rgb8")
        self.assertEqual(uncertainty.messages[0].encoding, "32FC1")

    def test_query_by_service_is_answered(self):
        self.see_and_wait(0.0)
        found = self.predict_view(query_pose(0.5, label=123.0))
        self.assertTrue(found.success, found.message)
        self.assertEqual(found.image.header.stamp, rospy.Time(123))
        self.assertEqual(len(found.image.data), 3 * IMAGE_SIZE**2)
        self.assertEqual(found.camera_info.width, IMAGE_SIZE)
        self.assertEqual(len(found.uncertainty.data), 4 * IMAGE_SIZE**2)

    def test_query_may_be_given_in_any_frame_that_tf_knows(self):
        self.see_and_wait(0.0)

        def predicted(**query):
            found = self.predict_view(query_pose(**query))
            self.assertTrue(found.success, found.message)
            return np.frombuffer(found.image.data, np.uint8).astype(int)

        # The door stands at x = 2 and looks along y: 1 m to its left is 1 m back along x.
        same = np.abs(predicted(x=0.5, y=1.0, frame_id="door") - predicted(x=1.0, y=0.5, yaw=np.pi / 2))
        other = np.abs(predicted(x=0.5, y=1.0, frame_id="door") - predicted(x=0.5, y=1.0))
        self.assertLess(same.mean(), 1.0)
        self.assertGreater(other.mean(), 2.0)
        refused = self.predict_view(query_pose(0.5, frame_id="nowhere"))
        self.assertFalse(refused.success)
        self.assertIn("no transform from 'nowhere' to 'odom'", refused.message)

    def test_query_before_any_observation_is_refused_with_one_line(self):
        refused = self.predict_view(query_pose(0.5))
        self.assertFalse(refused.success)
        self.assertIn("nothing has been observed yet", refused.message)

    def test_query_that_is_no_pose_is_refused_with_one_line(self):
        self.see_and_wait(0.0)
        not_finite, no_rotation = query_pose(0.5), query_pose(0.5)
        not_finite.pose.position.x = float("nan")
        no_rotation.pose.orientation = Quaternion()
        for query in (not_finite, no_rotation):
            refused = self.predict_view(query)
            self.assertFalse(refused.success)
            self.assertTrue(refused.message and "\n" not in refused.message, refused.message)
        self.assertTrue(self.predict_view(query_pose(0.5)).success)

    def test_current_view_has_the_stamp_of_odometry_and_the_frame_of_the_camera(self):
        self.see_and_wait(0.0)
        image = self.listen("predicted/image", Image)
        self.robot.drive(0.1)
        found = image.wait_for(lambda message: message.header.stamp == self.robot.stamp())
        self.assertEqual(found.header.frame_id, CAMERA_FRAME)

    def test_nothing_is_predicted_while_nobody_listens(self):
        self.see_and_wait(0.0)
        before = self.diagnostics.next()["views"]
        for step in range(1, 4):
            self.see_and_wait(0.3 * step)
        self.diagnostics.next()
        self.assertEqual(self.diagnostics.next()["views"], before)

    def test_surprise_and_observations_come_when_somebody_listens(self):
        surprise, path = self.listen("surprise", Surprise), self.listen("observations", PathMessage)
        stamps = []
        for step in range(4):
            stamps.append(self.robot.see(0.3 * step, seed=step))
            self.embedding_at(stamps[-1])
        found = surprise.wait_for(lambda message: message.header.stamp == stamps[-1])
        self.assertEqual(found.header.frame_id, CAMERA_FRAME)
        self.assertTrue(0.1 < found.value < 10.0, found.value)
        found = path.wait_for(lambda message: message.header.stamp == stamps[-1])
        self.assertEqual(found.header.frame_id, "odom")
        np.testing.assert_allclose(found.poses[-1].pose.position.x, 0.9, atol=1e-6)
        self.assertEqual(found.poses[-1].header.stamp, stamps[-1])

    def test_coming_back_to_a_room_recalls_what_was_seen_there(self):
        path = self.listen("observations", PathMessage)

        def held_after(x):
            stamp = self.robot.see(x)
            found = path.wait_for(lambda message: message.header.stamp == stamp)
            self.assertLessEqual(len(found.poses), 6)
            return {pose.header.stamp for pose in found.poses}

        room = {self.see_and_wait(x, seed).header.stamp for x, seed in ((0.0, 1), (0.5, 2))}
        for step in range(7):
            self.robot.seconds += 20.0  # in which a robot can have come from far away
            held = held_after(30.1 + 0.4 * step)
        self.assertFalse(room & held, "what is far away gives way")
        self.robot.seconds += 20.0
        for step in range(20):  # the node recalls when it has time
            if room <= held_after(-0.5 - 0.3 * (step % 2)):
                break
        else:
            self.fail("nothing was recalled")
        self.diagnostics.wait_for_count("observations in the archive", 2 + 7 + 1)

    def test_query_about_a_room_that_the_robot_left_is_answered_as_it_was_there(self):
        def predicted(x):
            return np.frombuffer(self.predict_view(query_pose(x)).image.data, np.uint8).astype(int)

        for x, seed in ((0.0, 1), (0.5, 2)):
            self.see_and_wait(x, seed)
        there = predicted(0.0)
        for step in range(7):
            self.robot.seconds += 20.0  # in which a robot can have come from far away
            self.see_and_wait(30.1 + 0.4 * step)
        np.testing.assert_allclose(predicted(0.0), there, atol=1)
        self.assertGreater(np.abs(predicted(32.5) - there).mean(), 2.0)

    def test_query_about_a_place_that_was_never_seen_is_answered_and_says_so(self):
        self.see_and_wait(0.0)
        unseen, seen = self.predict_view(query_pose(50.0)), self.predict_view(query_pose(0.5))
        self.assertTrue(unseen.success and len(unseen.image.data))
        self.assertRegex(unseen.message, "^nothing seen within view of that pose: .* surrounds the robot, 50.0 m away$")
        self.assertEqual((seen.success, seen.message), (True, ""))
        for _ in range(5):
            self.robot.query.publish(query_pose(50.0))

        def lines():
            return [line for line in self.warnings() if "nothing seen within view" in line]

        wait_until(lines, "nothing is logged about a query by topic")
        self.assertTrue(self.predict_view(query_pose(0.5)).success)
        self.assertEqual(lines(), [f"/robot/query_pose: {unseen.message}"])

    def test_reset_forgets_the_scene_and_begins_the_next_episode(self):
        before = self.see_and_wait(0.0)
        self.assertEqual(self.reset().message, f"episode {before.episode_id + 1} begins")
        self.assertFalse(self.predict_view(query_pose(0.5)).success)
        after = self.see_and_wait(0.1)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id + 1, 1))

    def test_time_that_jumps_back_begins_one_episode(self):
        before = self.see_and_wait(0.0)
        self.robot.seconds -= 5.0
        after = self.see_and_wait(0.1)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id + 1, 1))
        self.assertEqual(self.see_and_wait(0.5).episode_id, after.episode_id)

    def test_image_rows_may_be_padded(self):
        plain = self.see_and_wait(0.0, seed=3)
        self.reset()
        padded = self.see_and_wait(0.0, seed=3, padding=16)
        np.testing.assert_allclose(padded.data, plain.data, atol=1e-6)
        self.reset()
        other = self.see_and_wait(0.0, seed=4)
        self.assertGreater(np.abs(np.subtract(other.data, plain.data)).max(), 1e-4)

    def test_images_that_cannot_be_used_are_counted_and_the_next_good_one_is_served(self):
        before = self.diagnostics.next()
        for encoding, reason in (("bayer_rggb8", "bad encoding"), ("rgba8", "bad size")):  # rgba8: rows are too short
            self.robot.see(0.0, encoding=encoding)
            key = f"dropped, image: {reason}"
            self.diagnostics.wait_for_count(key, int(before.get(key, 0)) + 1)
        self.see_and_wait(0.0)

    def test_image_without_odometry_is_counted_and_the_next_good_one_is_served(self):
        self.see_and_wait(0.0)
        before = int(self.diagnostics.next().get("dropped, no odometry", 0))
        self.robot.take_picture(self.robot.stamp() + rospy.Duration(0.05))  # odometry stays behind
        self.diagnostics.wait_for_count("dropped, no odometry", before + 1)
        self.see_and_wait(0.3)

    def test_odometry_that_is_no_pose_is_counted_and_the_next_image_served(self):
        before = int(self.diagnostics.next().get("dropped, odom: bad pose", 0))
        self.robot.publish_odometry(float("nan"))
        self.robot.publish_odometry(0.0, orientation=(0.0, 0.0, 0.0, 0.0))
        self.diagnostics.wait_for_count("dropped, odom: bad pose", before + 2)
        self.see_and_wait(0.0)


if __name__ == "__main__":
    rospy.init_node("serving")
    rostest.rosrun("placenet_ros", "serving", Serving)
