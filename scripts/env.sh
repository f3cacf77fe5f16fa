# shellcheck shell=sh
#
# Put deepfer, its Python and its ROS 2 on the path of this shell (bash, zsh or any POSIX shell):
#
#   . scripts/env.sh
#
# Sourcing it again changes nothing more. A POSIX shell does not tell a sourced file where it is:
# there, source it from the repository's own folder or set DEEPFER_ROOT.

if [ -n "${BASH_VERSION-}" ]; then
  eval '_deepfer_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)'
elif [ -n "${ZSH_VERSION-}" ]; then
  eval '_deepfer_root=${${(%):-%x}:A:h:h}'
else
  _deepfer_root=${DEEPFER_ROOT-$(pwd -P)}
fi

# _deepfer_prepend VARIABLE ENTRY: put ENTRY first in the search path VARIABLE, and nowhere else.
_deepfer_prepend() {
  eval "_deepfer_rest=:\${$1-}:"
  while :; do
    case $_deepfer_rest in
      *":$2:"*) _deepfer_rest=${_deepfer_rest%%":$2:"*}:${_deepfer_rest#*":$2:"} ;;
      *) break ;;
    esac
  done
  _deepfer_rest=${_deepfer_rest#:}
  _deepfer_rest=${_deepfer_rest%:}
  eval "export $1=\"\$2\${_deepfer_rest:+:\$_deepfer_rest}\""
}

_deepfer_source() {
  # scripts/setup.sh has an environment for each distribution that comes from wheels.
  case ${ROS_WHEELS-} in
    '' | kilted) _deepfer_venv=$_deepfer_root/.venv ;;
    *) _deepfer_venv=$_deepfer_root/.venv-$ROS_WHEELS ;;
  esac
  if [ ! -f "$_deepfer_root/scripts/env.sh" ]; then
    echo "env.sh cannot tell where deepfer is: run it in the repository's folder or set DEEPFER_ROOT" >&2
    return 1
  fi
  if [ ! -f "$_deepfer_venv/.deepfer/build" ]; then
    echo "deepfer is not set up yet: run '${ROS_WHEELS:+ROS_WHEELS=$ROS_WHEELS }make setup' in" \
      "$_deepfer_root first" >&2
    return 1
  fi
  if [ -f "$_deepfer_venv/install/setup.sh" ]; then
    # A build on a ROS installation: colcon's own script sources that installation as well.
    case $- in *u*) set +u; _deepfer_nounset=1 ;; *) _deepfer_nounset= ;; esac
    # shellcheck disable=SC2034  # colcon's script reads it
    COLCON_CURRENT_PREFIX=$_deepfer_venv/install
    # shellcheck disable=SC1091  # made by the build
    . "$_deepfer_venv/install/setup.sh"
    [ -z "$_deepfer_nounset" ] || set -u
  else
    if [ -n "${ROS_DISTRO-}" ]; then
      echo "deepfer was set up without the ROS 2 $ROS_DISTRO that this shell has sourced:" \
        "run 'make setup' again, or use a shell without it" >&2
      return 1
    fi
    _deepfer_prepend AMENT_PREFIX_PATH "$_deepfer_venv"
  fi

  export VIRTUAL_ENV="$_deepfer_venv"
  unset PYTHONHOME
  _deepfer_prepend PATH "$_deepfer_venv/bin"

  # Best-effort images above half a megabyte get lost unless Fast DDS has a larger shared memory
  # segment. Fast DDS 2 does not read the variable of Fast DDS 3, which warns of the other's.
  case ${ROS_DISTRO-${ROS_WHEELS-}} in
    humble | iron | jazzy)
      _deepfer_variable=FASTRTPS_DEFAULT_PROFILES_FILE
      _deepfer_profile=${FASTRTPS_DEFAULT_PROFILES_FILE-}
      ;;
    *)
      _deepfer_variable=FASTDDS_DEFAULT_PROFILES_FILE
      _deepfer_profile=${FASTDDS_DEFAULT_PROFILES_FILE-}${FASTRTPS_DEFAULT_PROFILES_FILE-}
      ;;
  esac
  if [ -z "$_deepfer_profile" ]; then
    export "$_deepfer_variable=$_deepfer_root/config/fastdds_large_images.xml"
  fi
  # The buffers of such images should be reused instead of returned to the system each time.
  export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_-33554432}"
  export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-268435456}"

  # rclpy writes its logs below HOME, and does not start if there is none.
  [ -n "${HOME-}${ROS_LOG_DIR-}" ] || export ROS_LOG_DIR="$_deepfer_root/log/ros"
}

if _deepfer_source; then _deepfer_status=0; else _deepfer_status=1; fi
unset -f _deepfer_source _deepfer_prepend
unset _deepfer_root _deepfer_venv _deepfer_rest _deepfer_variable _deepfer_profile \
  _deepfer_nounset
eval "unset _deepfer_status; return $_deepfer_status"
