#!/bin/bash
# make_venv.sh FOLDER REQUIREMENTS [TORCH_INDEX_URL]: a Python for the node, which sees ROS's packages of the system, too.
# TORCH_INDEX_URL: where torch comes from; empty: where pip looks by itself.
set -euo pipefail
venv="$1" requirements="$2" index="${3:-}"

/usr/bin/python3 -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-cache-dir)
"${pip[@]}" install 'pip>=21'  # older ones do not know the wheels of today
if [ -n "$index" ]; then
    "${pip[@]}" install --index-url "$index" --no-deps torch  # what it needs comes with the requirements
fi
"${pip[@]}" install --requirement "$requirements"
# Visible only now: pip is not to take the system's packages, older ones, for what is required.
/usr/bin/python3 -m venv --system-site-packages --without-pip "$venv"
