"""PlaceNet for robots: the network (`model`), the scene built online (`scene`) and the ROS layer (`node`)."""

from pkgutil import extend_path

# catkin generates placenet_ros.msg and placenet_ros.srv into the workspace; they are found there even where this folder
# comes first on the path.
__path__ = extend_path(__path__, __name__)
