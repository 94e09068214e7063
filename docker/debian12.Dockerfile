# placenet_node on Debian 12, without ROS's own packages: Debian has its own. In the repository's folder:
#
#   docker build -t placenet -f docker/debian12.Dockerfile .
#   docker build -t placenet -f docker/debian12.Dockerfile --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu .
#   docker run --rm --net=host placenet roslaunch placenet_ros placenet.launch image:=/camera/color/image_raw odom:=/odom
#
# The first is for GPUs too (docker run --gpus all ... device:=cuda), the second for robots without one: some GB less.
FROM debian:12-slim

# What the node and roslaunch import, and what building the package takes. install.sh has more: tests and rendering.
# hadolint ignore=DL3008
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        catkin g++ make python3-venv ros-message-generation ros-message-runtime rosbash \
        libgeometry-msgs-dev libsensor-msgs-dev libstd-msgs-dev ros-geometry-msgs ros-sensor-msgs ros-std-msgs \
        python3-roslaunch python3-rosbag python3-rospy python3-rostopic \
        python3-cv-bridge python3-diagnostic-updater python3-tf2-ros tf2-tools python3-visualization-msgs \
        python3-diagnostic-msgs python3-geometry-msgs python3-nav-msgs python3-sensor-msgs python3-std-srvs \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX_URL=""
COPY requirements.txt /opt/placenet/
COPY docker/make_venv.sh docker/entrypoint.sh /opt/placenet/docker/
RUN /opt/placenet/docker/make_venv.sh /opt/placenet/venv /opt/placenet/requirements.txt "$TORCH_INDEX_URL"

COPY . /opt/placenet/catkin_ws/src/placenet_ros
WORKDIR /opt/placenet/catkin_ws
RUN catkin_make install -DPYTHON_EXECUTABLE=/opt/placenet/venv/bin/python -DCATKIN_ENABLE_TESTING=OFF \
        -DCMAKE_INSTALL_PREFIX=/opt/placenet/install \
    && rm -rf build devel

RUN useradd --uid 1000 --create-home placenet
USER 1000
WORKDIR /home/placenet
# Installed nodes start the python3 that comes first.
ENV PATH=/opt/placenet/venv/bin:$PATH ROS_SETUP=/opt/placenet/install/setup.bash PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/placenet/docker/entrypoint.sh"]
CMD ["roslaunch", "placenet_ros", "placenet.launch"]
