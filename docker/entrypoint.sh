#!/bin/bash
# Runs a command with ROS and this package set up; ROS_SETUP: of the install space.
set -e
# shellcheck source=/dev/null
source "$ROS_SETUP"
exec "$@"
