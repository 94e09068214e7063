"""Publishers of house_robot_node and their messages: pictures with their calibration, odometry and TF.

The same topics and frames as `training.make_bag` writes. Each message has a header of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rospy
import tf2_ros
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from placenet_ros.node.house_robot import CAMERA_AHEAD, Reading
from placenet_ros.node.images import camera_info_message, image_message
from placenet_ros.node.rigid_pose import OPTICAL_IN_BODY, RigidPose
from placenet_ros.scene.camera import PinholeCamera
from placenet_ros.scene.depth import millimetres

ODOM, BASE, CAMERA = "odom", "base_link", "camera_color_optical_frame"
QUEUE = 10  # messages kept for a listener that is slow
PLANAR = (0, 1, 5)  # x, y and heading in a covariance of x, y, z, roll, pitch and yaw


class RobotOutputs:
    """Everything that the robot publishes.

    camera: the robot's, `height` metres above the floor and pitched up by `pitch` radians.
    """

    def __init__(self, camera: PinholeCamera, height: float, pitch: float):
        self._camera = camera
        self._odometry = rospy.Publisher("odom", Odometry, queue_size=QUEUE)
        self._info = rospy.Publisher("camera/color/camera_info", CameraInfo, queue_size=QUEUE)
        self._image = rospy.Publisher("camera/color/image_raw", Image, queue_size=QUEUE)
        self._depth = rospy.Publisher("camera/aligned_depth_to_color/image_raw", Image, queue_size=QUEUE)
        self._objects = rospy.Publisher("camera/objects/image_raw", Image, queue_size=QUEUE)
        self._transform, self._static = tf2_ros.TransformBroadcaster(), tf2_ros.StaticTransformBroadcaster()
        self._mount = camera_mount(height, pitch)

    def publish_mount(self) -> None:
        """Where the camera sits on the robot; latched."""
        at, turn = self._mount.position, self._mount.quaternion
        self._static.sendTransform(_transform(Header(frame_id=BASE, stamp=rospy.Time.now()), CAMERA, at, turn))

    def publish_motion(self, stamp: int, reading: Reading) -> None:
        """Odometry and its transform. stamp: nanoseconds."""
        motion = reading.motion
        turn = (0.0, 0.0, math.sin(motion.heading / 2), math.cos(motion.heading / 2))
        self._transform.sendTransform(_transform(_header(stamp, ODOM), BASE, (motion.x, motion.y, 0.0), turn))
        self._odometry.publish(odometry_message(_header(stamp, ODOM), reading, turn))

    def has_viewer(self) -> bool:
        """Whether anybody listens to what the camera gives."""
        publishers = (self._image, self._depth, self._objects, self._info)
        return any(publisher.get_num_connections() for publisher in publishers)

    def publish_pictures(self, stamp: int, pictures: Any) -> None:
        """One of `training.houses.pictures.Pictures`, and the calibration before it. stamp: nanoseconds."""
        header = _header(stamp, CAMERA)
        self._info.publish(camera_info_message(header, self._camera))
        self._depth.publish(image_message(header, millimetres(pictures.depth[0]), "16UC1"))
        self._objects.publish(image_message(header, pictures.objects[0], "mono8"))
        self._image.publish(image_message(header, pictures.rgb[0], "rgb8"))


def pinhole(width: int, height: int, field_of_view: float) -> PinholeCamera:
    """The camera with so many pixels, square ones, and so many radians across its width."""
    focal_length = width / 2 / math.tan(field_of_view / 2)
    return PinholeCamera(width, height, focal_length, focal_length, width / 2 - 0.5, height / 2 - 0.5)


def camera_mount(height: float, pitch: float) -> RigidPose:
    """Pose of the camera's optical frame (REP 103: x right, y down, z ahead) in the base's."""
    position = (CAMERA_AHEAD, 0.0, height)
    return RigidPose.checked(position, (0.0, -math.sin(pitch / 2), 0.0, math.cos(pitch / 2))) @ OPTICAL_IN_BODY


def odometry_message(header: Header, reading: Reading, turn: tuple[float, ...]) -> Odometry:
    """turn: the heading as a quaternion x, y, z, w."""
    message = Odometry(header=header, child_frame_id=BASE)
    pose, twist = message.pose, message.twist.twist
    pose.pose.position.x, pose.pose.position.y = reading.motion.x, reading.motion.y
    pose.pose.orientation = Quaternion(*turn)
    covariance = np.zeros((6, 6))
    covariance[np.ix_(PLANAR, PLANAR)] = reading.covariance
    pose.covariance = covariance.ravel().tolist()
    twist.linear.x, twist.angular.z = reading.motion.speed, reading.motion.turn_rate
    return message


def _header(stamp: int, frame_id: str) -> Header:
    return Header(stamp=rospy.Time(*divmod(stamp, 1_000_000_000)), frame_id=frame_id)


def _transform(header: Header, child: str, position: Any, quaternion: Any) -> TransformStamped:
    message = TransformStamped(header=header, child_frame_id=child)
    message.transform.translation = Vector3(*position)
    message.transform.rotation = Quaternion(*quaternion)
    return message
