#!/bin/bash
# Start a command of the container with ROS 2 and deepfer sourced.
set -e
# shellcheck disable=SC1091  # exists in the image only
. /opt/deepfer/setup.bash
exec "$@"
