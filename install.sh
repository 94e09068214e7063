#!/usr/bin/env bash
# Set-up in one place: ROS and system libraries (apt), Python packages (.venv), the catkin workspace (.ws).
# `make demo` and `make test` call it. Run it as often as you like: what is in place stays as it is.
#
#   ./install.sh
#   TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu ./install.sh     CPU builds of torch: a robot without a GPU
#
# Not needed in a catkin workspace of your own: see README.md. What every command prints goes to install.log.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root="$PWD"
log="$root/install.log"

debian_packages=(
    # rendering without a screen, virtual environments, compiling messages
    libegl1 libegl-mesa0 libgl1-mesa-dri python3-venv g++ make
    # roscore, roslaunch, rostopic; catkin_make; the tests
    ros-core catkin ros-message-generation python3-rospy python3-rosbag python3-rostest
    # what the messages are made of
    libgeometry-msgs-dev libsensor-msgs-dev libstd-msgs-dev ros-geometry-msgs ros-sensor-msgs ros-std-msgs
    # what the node imports
    python3-cv-bridge python3-diagnostic-updater python3-tf2-ros
    python3-diagnostic-msgs python3-geometry-msgs python3-nav-msgs python3-sensor-msgs python3-std-srvs
    python3-visualization-msgs
)
noetic_packages=(
    libegl1 libegl-mesa0 libgl1-mesa-dri python3-venv g++ make
    ros-noetic-ros-base ros-noetic-rostest ros-noetic-cv-bridge ros-noetic-diagnostic-updater ros-noetic-tf2-ros
    ros-noetic-nav-msgs ros-noetic-sensor-msgs ros-noetic-std-srvs ros-noetic-visualization-msgs
)

say() { echo "install.sh: $*"; }

stop() {
    echo "install.sh: $*" >&2
    exit 1
}

# step NAME IS_IN_PLACE DO WHAT_TO_TRY: does DO, unless IS_IN_PLACE succeeds.
step() {
    local name="$1" is_in_place="$2" do="$3" what_to_try="$4" begun=$SECONDS status
    if "$is_in_place" 2>>"$log"; then
        say "$name: in place"
        return
    fi
    say "$name: installing"
    echo "==== $name, $(date)" >>"$log"
    local lines_before
    lines_before=$(wc -l <"$log")
    set +e  # a subshell of a condition would go on after its first failing command
    (set -e; "$do") >>"$log" 2>&1 9>&-
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        stop "$name: failed after $((SECONDS - begun)) s: $(reason "$lines_before"). $what_to_try, then run $root/install.sh again (full output: $log)"
    fi
    say "$name: done in $((SECONDS - begun)) s"
}

# The line of the log, after line $1, that says best what went wrong: the first that begins like an error, else the last.
reason() {
    local output
    output=$(tail -n +"$(($1 + 1))" "$log" | grep -v '^[[:space:]]*$' || true)
    { grep -m 1 -iE '^(E:|[a-z/_.-]*error)' <<<"$output" || tail -n 1 <<<"$output"; } | cut -c 1-200
}

# ---- System packages

missing_packages() {
    dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p' | sort -u | comm -13 - <(printf '%s\n' "${packages[@]}" | sort -u)
}

have_packages() { [ -z "$(missing_packages)" ]; }

install_packages() {
    local missing as_root=()
    mapfile -t missing < <(missing_packages)
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo; then
            echo "error: this user is not root and there is no sudo to install: ${missing[*]}"
            return 1
        fi
        as_root=(sudo)
    fi
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    # One broken source among others does not matter; what cannot be found shows in the next command.
    "${apt[@]}" update || echo "apt-get update failed; going on with the lists that are there"
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
}

# ---- Python packages

requirements=(requirements.txt requirements-test.txt)

venv_made_for() { echo "$root, $(/usr/bin/python3 -VV)"; }

# Whether .venv is of the system's Python as it is now, was made in this folder, and has torch from where it is asked for.
venv_is_usable() {
    .venv/bin/python -c "" && [ "$(cat .venv/made_for)" = "$(venv_made_for)" ] &&
        { [ -z "${TORCH_INDEX_URL:-}" ] || [ "$TORCH_INDEX_URL" = "$(cat .venv/torch_index_url)" ]; }
}

requirements_stamp() { cat "${requirements[@]}" | sha256sum; }

# Whether each required distribution is there with its packages' folders.
distributions_are_there() {
    .venv/bin/python - "${requirements[@]}" <<'PYTHON'
import re, sys
from importlib.metadata import distribution
for path in sys.argv[1:]:
    for name in re.findall(r"^[\w.-]+", open(path).read(), re.MULTILINE):
        for file in distribution(name).files or []:
            if len(file.parts) == 2 and file.name == "__init__.py" and not file.locate().exists():
                sys.exit(f"{name}: {file} is gone")
PYTHON
}

have_venv() {
    venv_is_usable && [ "$(cat .venv/stamp)" = "$(requirements_stamp)" ] && distributions_are_there
}

install_venv() {
    local pip=(.venv/bin/python -m pip --disable-pip-version-check install) files=("${requirements[@]/#/--requirement=}")
    # Not usable, or complete once and damaged since: a new one. Otherwise pip adds what is missing.
    if ! venv_is_usable || { [ -f .venv/stamp ] && ! distributions_are_there; }; then
        rm -rf .venv
        /usr/bin/python3 -m venv --system-site-packages .venv
        echo "${TORCH_INDEX_URL:-}" >.venv/torch_index_url
        venv_made_for >.venv/made_for
    fi
    "${pip[@]}" 'pip>=21'  # older ones do not know the wheels of today
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        "${pip[@]}" --index-url "$TORCH_INDEX_URL" 'numpy<2' torch torchvision
    fi
    "${pip[@]}" "${files[@]}"
    # Whether numpy is one that cv_bridge is built for shows only when a picture goes through.
    (
        use_ros
        .venv/bin/python -c "
import cv_bridge, numpy, rospy, torch
cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((2, 2, 3), numpy.uint8), 'rgb8')"
    )
    requirements_stamp >.venv/stamp
}

# ---- Workspace

# ROS alone: not what the calling shell may have sourced.
use_ros() {
    unset CMAKE_PREFIX_PATH PYTHONPATH ROS_PACKAGE_PATH
    if [ -n "$noetic" ]; then
        set +u
        source "$noetic/setup.bash"
        set -u
    fi
}

workspace_stamp() {
    { echo "$root"; cat CMakeLists.txt package.xml setup.py msg/* srv/*; } | sha256sum
}

have_workspace() {
    [ "$(cat .ws/stamp)" = "$(workspace_stamp)" ] && [ -f .ws/devel/setup.bash ] &&
        [ -f .ws/devel/lib/python3/dist-packages/placenet_ros/msg/__init__.py ]
}

install_workspace() {
    use_ros
    rm -rf .ws
    mkdir -p .ws/src
    ln -s "$root" .ws/src/placenet_ros
    cd .ws
    PATH="/usr/bin:$PATH" catkin_make -DPYTHON_EXECUTABLE="$root/.venv/bin/python"  # another python3 may come first
    cd "$root"
    workspace_stamp >.ws/stamp
}

# ---- Where we are, and go

case "$root" in *[[:space:]]*) stop "catkin cannot build in a folder with a space in its name: move $root" ;; esac
command -v apt-get >/dev/null || stop "no apt-get here: this needs Debian 12, or Ubuntu 20.04 with ROS Noetic"
exec 9<install.sh
flock 9  # two at once: the second waits
: >"$log"

noetic=/opt/ros/noetic
packages=("${noetic_packages[@]}")
if [ ! -f "$noetic/setup.bash" ]; then
    noetic=""
    packages=("${debian_packages[@]}")
fi
step "system packages (apt: ROS, EGL, compiler)" have_packages install_packages \
    "Look whether apt-get update works and the distribution is Debian 12 or has ROS Noetic's sources"
if /usr/bin/python3 -c "import sys; sys.exit(sys.version_info < (3, 10))"; then
    requirements+=(requirements-training.txt)
fi
step "Python packages (.venv: torch and others, some GB)" have_venv install_venv \
    "Look for the network, 8 GB free on the disk, and pip's settings"
step "catkin workspace (.ws: messages)" have_workspace install_workspace \
    "Look at the end of the full output"
say "set up in $SECONDS s; now: source $root/env.sh"
