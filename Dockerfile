# deepfer on ROS 2 Jazzy.
#
#   docker build -t deepfer .
#   docker run --rm -it --net=host --ipc=host --device=/dev/video0 --group-add video deepfer
#
# docs/how_to/container.md explains the options.

ARG ROS_DISTRO=jazzy

# --- build: compilers and build tools stay here ---
FROM ros:${ROS_DISTRO}-ros-base AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /ws
COPY . src/deepfer
# --merge-install, so that one folder with one setup.bash is copied below.
# hadolint ignore=DL3008  # the ROS packages of a distribution have no versions that stay
RUN apt-get update \
  && rosdep update --rosdistro "$ROS_DISTRO" \
  && rosdep install --from-paths src --ignore-src -y \
    --dependency-types build --dependency-types buildtool --dependency-types build_export \
  && . "/opt/ros/$ROS_DISTRO/setup.bash" \
  && colcon build --merge-install --install-base /opt/deepfer \
    --cmake-args -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release \
  && rm -rf /var/lib/apt/lists/*

# --- run ---
FROM ros:${ROS_DISTRO}-ros-core
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PYTHONUNBUFFERED=1
COPY package.xml requirements/docker.txt /tmp/deepfer/
# PEP 668 protects the packages of a whole system; this one has no other purpose.
# hadolint ignore=DL3008,DL3013
RUN apt-get update \
  && apt-get install -y --no-install-recommends opencv-data python3-pip python3-rosdep \
  && rosdep init \
  && rosdep update --rosdistro "$ROS_DISTRO" \
  && rosdep install --from-paths /tmp/deepfer --ignore-src -y --dependency-types exec \
  && pip install --no-cache-dir --break-system-packages -r /tmp/deepfer/docker.txt \
  # Only for its photograph, the built-in sample; it is never imported.
  && pip install --no-cache-dir --break-system-packages --no-deps scikit-image \
  && apt-get purge -y --auto-remove python3-pip python3-rosdep \
  && rm -rf /var/lib/apt/lists/* /tmp/deepfer /root/.ros \
  # Ubuntu 24.04's own user has the number that most people have, which shared memory needs.
  && { userdel --remove ubuntu 2>/dev/null || true; } \
  && useradd --uid 1000 --create-home --groups video ros
COPY --from=build /opt/deepfer /opt/deepfer
COPY scripts/docker_entrypoint.sh /docker_entrypoint.sh
USER 1000:1000
WORKDIR /home/ros
# Into the user's cache. Without it the node takes Haar's detector, and says so.
RUN /docker_entrypoint.sh deepfer fetch-detector || true
ENTRYPOINT ["/docker_entrypoint.sh"]
CMD ["ros2", "launch", "deepfer", "camera.launch.py"]
