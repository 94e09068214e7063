#!/usr/bin/env bash
# Set-up in one place: ROS and system libraries (apt), Python packages (.venv), the catkin workspace (.ws).
# `make demo` and `make test` call it. Run it as often as you like: what is in place stays as it is.
#
#   ./install.sh
#   TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu ./install.sh     CPU builds of torch: a robot without a GPU
#
# Not needed in a catkin workspace of your own: see README.md. What the commands print goes to out/install/.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root="$PWD"
logs="$root/out/install"

debian_packages=(
    # rendering without a screen, virtual environments, compiling
    libegl1 libegl-mesa0 libgl1-mesa-dri python3-venv g++ make
    # roscore, roslaunch, rostopic, rosrun; catkin_make; the tests
    ros-core rosbash catkin ros-message-generation python3-rospy python3-rosbag librostest-dev python3-rostest
    # what our messages are made of
    libgeometry-msgs-dev libsensor-msgs-dev libstd-msgs-dev ros-geometry-msgs ros-sensor-msgs ros-std-msgs
    # what the node imports
    python3-cv-bridge python3-diagnostic-updater python3-tf2-ros
    python3-diagnostic-msgs python3-geometry-msgs python3-nav-msgs python3-sensor-msgs python3-std-srvs
    python3-visualization-msgs
    # what the node advises where TF lacks something
    tf2-tools
)
noetic_packages=(
    libegl1 libegl-mesa0 libgl1-mesa-dri python3-venv g++ make
    ros-noetic-ros-base ros-noetic-rostest ros-noetic-cv-bridge ros-noetic-diagnostic-updater ros-noetic-tf2-ros ros-noetic-tf2-tools
    ros-noetic-diagnostic-msgs ros-noetic-geometry-msgs ros-noetic-nav-msgs ros-noetic-sensor-msgs ros-noetic-std-srvs
    ros-noetic-visualization-msgs
)

seconds_between_lines=20  # of progress

say() { echo "install.sh: $*"; }

stop() {
    echo "install.sh: $*" >&2
    exit 1
}

# step NAME IS_IN_PLACE DO LOG WHAT_TO_TRY: does DO, with its output in LOG, unless IS_IN_PLACE succeeds.
step() {
    local name="$1" is_in_place="$2" do="$3" log="$logs/$4" what_to_try="$5" begun=$SECONDS status
    if "$is_in_place" 2>/dev/null; then return; fi
    say "$name ... (its output: $log)"
    tell_progress "${name%% (*}" "$log" $BASHPID 2>/dev/null 9>&- &
    set +e  # within a condition, the subshell would go on after a command that fails
    (set -e; "$do") >"$log" 2>&1 9>&-
    status=$?
    kill $! 2>/dev/null
    wait $! 2>/dev/null
    set -e
    if [ "$status" -ne 0 ]; then
        stop "$name: failed after $((SECONDS - begun)) s: $(reason "$log"). $what_to_try, and run $root/install.sh again" \
            "(all its output: $log)"
    fi
    say "${name%% (*}: done in $((SECONDS - begun)) s"
}

# tell_progress NAME LOG PROCESS: while that process lives, now and then how long NAME has taken, and what it does now.
tell_progress() {
    local name="$1" log="$2" process="$3" begun=$SECONDS next=$((SECONDS + seconds_between_lines))
    while sleep 1 >&2 && kill -0 "$process"; do
        if [ "$SECONDS" -ge "$next" ]; then
            say "$name: $((SECONDS - begun)) s: $(grep -v '^\s*$' "$log" | tail -n 1 | sed 's/^ *//' | cut -c 1-90)"
            next=$((SECONDS + seconds_between_lines))
        fi
    done
}

# The line of a log that says best what went wrong: the first that begins like an error, else the last.
reason() {
    { grep -m 1 -iE '^\s*(E:|[a-z ._/-]*error\b)' "$1" || grep -v '^\s*$' "$1" | tail -n 1; } | cut -c 1-200
}

# ---- System packages: those of the array `packages`

missing_packages() {
    dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p' | sort -u | comm -13 - <(printf '%s\n' "${packages[@]}" | sort -u)
}

have_packages() { [ -z "$(missing_packages)" ]; }

apt() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "error: this user is not root, and there is no sudo, to install $(missing_packages | tr '\n' ' ')"
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# One unreachable source among others need not matter; a package that cannot be found then stops the next step.
update_lists() { apt update || echo "going on with the lists that are there"; }

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    apt install -y --no-install-recommends "${missing[@]}"
}

# ---- Python packages

requirements=(requirements.txt requirements-test.txt)

venv_made_for() { echo "$root, $(/usr/bin/python3 -VV)"; }

# Where torch is to come from: what is asked for, else what was the last time, else nothing: where pip looks by itself.
torch_index_url() { echo "${TORCH_INDEX_URL:-$(cat .venv/torch_index_url 2>/dev/null)}"; }

# Whether .venv is of the system's Python as it is now, was made in this folder, and has torch from where it is asked for.
venv_is_usable() {
    .venv/bin/python -c "" && [ "$(cat .venv/made_for)" = "$(venv_made_for)" ] &&
        [ "$(cat .venv/torch_index_url)" = "$(torch_index_url)" ]
}

requirements_stamp() { cat "${requirements[@]}" | sha256sum; }

# The required distributions that are not there, or of which a package's folder is gone.
broken_distributions() {
    .venv/bin/python - "${requirements[@]}" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pip._vendor.packaging.requirements import Requirement
lines = [line.split("#")[0].strip() for path in sys.argv[1:] for line in open(path)]
for requirement in map(Requirement, filter(None, lines)):
    if requirement.marker and not requirement.marker.evaluate():
        continue  # of another kind of machine
    try:
        files = distribution(requirement.name).files or []
    except PackageNotFoundError:
        print(requirement.name)
        continue
    if not all(f.locate().exists() for f in files if len(f.parts) == 2 and f.name == "__init__.py"):
        print(requirement.name)
PYTHON
}

have_venv() {
    venv_is_usable && [ "$(cat .venv/stamp)" = "$(requirements_stamp)" ] && [ -z "$(broken_distributions)" ]
}

install_venv() {
    local pip=(.venv/bin/python -m pip --disable-pip-version-check) index
    index="$(torch_index_url)"
    if ! venv_is_usable; then
        rm -rf .venv
        /usr/bin/python3 -m venv .venv
        echo "$index" >.venv/torch_index_url
        venv_made_for >.venv/made_for
    fi
    "${pip[@]}" install 'pip>=21'  # older ones do not know the wheels of today
    broken_distributions | xargs -r "${pip[@]}" uninstall -y  # pip would take them for installed
    if [ -n "$index" ]; then
        "${pip[@]}" install --progress-bar off --index-url "$index" --no-deps torch  # what it needs comes with the requirements
    fi
    "${pip[@]}" install --progress-bar off "${requirements[@]/#/--requirement=}"
    # ROS's Python packages become visible only now: apt was still busy with them, and pip is not to build on them.
    /usr/bin/python3 -m venv --system-site-packages --without-pip .venv
    requirements_stamp >.venv/stamp
}

# ---- Workspace

# The package in it: links to these, and not to the folder that holds .ws, in which rosrun would look for programs in a circle.
package_entries=(CMakeLists.txt package.xml setup.py config launch msg nodes placenet_ros rviz srv test training weights)

workspace_stamp() {
    { echo "$root" "${package_entries[@]}"; cat .venv/stamp CMakeLists.txt package.xml setup.py msg/* srv/*; } | sha256sum
}

have_workspace() {
    [ "$(cat .ws/stamp)" = "$(workspace_stamp)" ] && [ -f .ws/devel/setup.bash ] &&
        [ -f .ws/devel/lib/python3/dist-packages/placenet_ros/msg/__init__.py ]
}

install_workspace() {
    # ROS alone, not what the calling shell may have sourced; and ROS's python3, though another may come first.
    unset CMAKE_PREFIX_PATH PYTHONPATH ROS_PACKAGE_PATH
    if [ -f /opt/ros/noetic/setup.bash ]; then
        set +u
        source /opt/ros/noetic/setup.bash
        set -u
    fi
    export PATH="/usr/bin:$PATH"
    # Whether numpy is one that cv_bridge is built for shows only when a picture goes through.
    .venv/bin/python -c "
import cv_bridge, numpy, rospy, torch
cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((2, 2, 3), numpy.uint8), 'rgb8')"
    rm -rf .ws
    mkdir -p .ws/src/placenet_ros
    ln -s "${package_entries[@]/#/$root/}" .ws/src/placenet_ros/
    (cd .ws && catkin_make -DPYTHON_EXECUTABLE="$root/.venv/bin/python")
    workspace_stamp >.ws/stamp
}

# ---- Where we are, and go

case "$root" in *[[:space:]]*) stop "catkin cannot build in a folder with a space in its name: move $root" ;; esac
command -v apt-get >/dev/null || stop "no apt-get here: this needs Debian 12, or Ubuntu 20.04 with ROS Noetic"
mkdir -p "$logs"
exec 9<install.sh
if ! flock --nonblock 9; then
    say "waiting for another install.sh that runs in this folder"
    flock 9
fi

if [ -f /opt/ros/noetic/setup.bash ]; then
    all_packages=("${noetic_packages[@]}")
else
    all_packages=("${debian_packages[@]}")
fi
look_at_apt="Look whether apt-get update works and this is Debian 12, or Ubuntu 20.04 with the sources of ROS Noetic"

packages=("${all_packages[@]}")
step "apt-get update" have_packages update_lists update.log "$look_at_apt"
packages=(python3-venv)
step "Python (apt)" have_packages install_packages python.log "$look_at_apt"

if /usr/bin/python3 -c "import sys; sys.exit(sys.version_info < (3, 10))"; then
    requirements+=(requirements-training.txt)
fi
# apt and pip beside each other save a minute. A process group of its own for pip: an end here ends it, too.
set -m
step "Python packages (.venv: torch and others, some GB; one to three minutes)" have_venv install_venv venv.log \
    "Look for the network, 8 GB free on the disk, and pip's settings" &
set +m
pip_step=$!
trap 'kill -- -$pip_step 2>/dev/null' EXIT
packages=("${all_packages[@]}")
step "system packages (apt: ROS, EGL, compiler)" have_packages install_packages packages.log "$look_at_apt"
wait "$pip_step" || exit 1
trap - EXIT

step "catkin workspace (.ws: messages)" have_workspace install_workspace workspace.log "Look at the end of that output"
say "set up, after $SECONDS s; now: source $root/env.sh"
