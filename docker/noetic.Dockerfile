# placenet_node on ROS Noetic (Ubuntu 20.04, Python 3.8, PyTorch 2.4). In the repository's folder:
#
#   docker build -t placenet:noetic -f docker/noetic.Dockerfile .
#   docker build -t placenet:noetic -f docker/noetic.Dockerfile --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu .
#   docker run --rm --net=host placenet:noetic roslaunch placenet_ros placenet.launch image:=/camera/color/image_raw odom:=/odom
#
# The first is for GPUs too (docker run --gpus all ... device:=cuda), the second for robots without one: some GB less.
FROM ros:noetic-ros-base-focal

# What the image of ROS lacks of what the node imports.
# hadolint ignore=DL3008
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3-venv \
        ros-noetic-cv-bridge ros-noetic-diagnostic-updater ros-noetic-tf2-ros ros-noetic-tf2-tools ros-noetic-visualization-msgs \
        ros-noetic-diagnostic-msgs ros-noetic-geometry-msgs ros-noetic-nav-msgs ros-noetic-sensor-msgs ros-noetic-std-srvs \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX_URL=""
COPY requirements.txt /opt/placenet/
COPY docker/make_venv.sh docker/entrypoint.sh /opt/placenet/docker/
RUN /opt/placenet/docker/make_venv.sh /opt/placenet/venv /opt/placenet/requirements.txt "$TORCH_INDEX_URL"

COPY . /opt/placenet/catkin_ws/src/placenet_ros
WORKDIR /opt/placenet/catkin_ws
SHELL ["/bin/bash", "-c"]
RUN source /opt/ros/noetic/setup.bash \
    && catkin_make install -DPYTHON_EXECUTABLE=/opt/placenet/venv/bin/python -DCATKIN_ENABLE_TESTING=OFF \
        -DCMAKE_INSTALL_PREFIX=/opt/placenet/install \
    && rm -rf build devel

RUN useradd --uid 1000 --create-home placenet
USER 1000
WORKDIR /home/placenet
# Installed nodes start the python3 that comes first.
ENV PATH=/opt/placenet/venv/bin:$PATH ROS_SETUP=/opt/placenet/install/setup.bash PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/placenet/docker/entrypoint.sh"]
CMD ["roslaunch", "placenet_ros", "placenet.launch"]
