#!/usr/bin/env bash
# Copy the front-end libraries of the web page from npm into the package, in the versions of
# package-lock.json. Needed only to change a version; the copies are part of the repository.
#
#   scripts/web/vendor.sh            copy them
#   scripts/web/vendor.sh --check    fail if what is in the repository differs, and check the types
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
vendor=$here/../../deepfer_ros/web/static/vendor

check=false
case "$*" in
  "") ;;
  --check) check=true ;;
  *) echo "scripts/web/vendor.sh: unknown arguments '$*'; it takes only --check" >&2; exit 2 ;;
esac

cd "$here"
npm ci --ignore-scripts --no-fund --no-audit --silent

take() {
  if [ $check = true ]; then
    cmp "node_modules/$1" "$vendor/$2"
  else
    install -D -m 644 "node_modules/$1" "$vendor/$2"
  fi
}
take uplot/dist/uPlot.esm.js uplot/uPlot.esm.js
take uplot/dist/uPlot.d.ts uplot/uPlot.esm.d.ts # for the type check only
take uplot/dist/uPlot.min.css uplot/uPlot.min.css
take uplot/LICENSE uplot/LICENSE

if [ $check = true ]; then
  npm run --silent check
fi
