#!/usr/bin/env bash
# Installs what building and testing need and the machine does not have; does nothing when all is there.
#
# From the distribution: a C compiler and make, and the part of Python that makes virtual environments. Into
# target/test-tools: schemathesis, which holds the running server against its own OpenAPI document.
set -euo pipefail
cd "$(dirname "$0")/.."

schemathesis_version=4.32.5
folder=target/test-tools/schemathesis
stamp=$folder/installed-$schemathesis_version

fail() {
    echo "error: $*, then run the command again" >&2
    exit 1
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
    fi
    command -v apt-get >/dev/null || fail "install with this system's package manager: $*"
    echo "installing $*"
    "${as_root[@]}" apt-get update -q </dev/null || fail "apt-get update failed: install by hand: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null ||
        fail "apt-get install failed: install by hand: $*"
}

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
# Debian ships Python without `ensurepip`.
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
    install_packages "${missing[@]}"
fi

if [ -f "$stamp" ] && "$folder/bin/schemathesis" --version >/dev/null 2>&1; then
    exit 0
fi
echo "installing schemathesis $schemathesis_version into $folder"
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
python3 -m venv "$folder" || fail "python3 could not make a virtual environment: install python3-venv"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-input "schemathesis==$schemathesis_version" </dev/null ||
    fail "pip could not install schemathesis $schemathesis_version: check the network"
touch "$stamp"
