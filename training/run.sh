#!/usr/bin/env bash
# Trains PlaceNet on all GPUs of this machine: training/run.sh [CONFIG] [key=value ...]; --help lists the keys.
# From any folder; with the repository's .venv where there is one, else with the python3 at hand. All the rest is
# training/launch.py; here is only what has to be in place before Python starts.

# Ctrl-C goes to all of a terminal's processes: Python's short answers below do not hear it, this script then does.
trap 'echo interrupted >&2; exit 130' INT
ask() { (trap '' INT && exec "$python" -c "$@"); }

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)" || exit 1
python="$root/.venv/bin/python"
[ -x "$python" ] || python="$(command -v python3)" || { echo "error: no python3 here: run ./install.sh" >&2; exit 2; }
if ! ask 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)'; then
    echo "error: $python has no torch: run ./install.sh, or $python -m pip install -r requirements.txt" \
        "-r requirements-training.txt" >&2
    exit 2
fi

# A package called `training` where one happens to stand is not ours: Python passes it over from 3.11 on.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1
if ! ask 'import importlib.util as u, sys; sys.exit(u.find_spec("training").origin != sys.argv[1])' \
    "$root/training/__init__.py"; then
    echo "error: a package called training here ($PWD) hides PlaceNet's, before Python 3.11: start in another folder" >&2
    exit 2
fi

# jemalloc, where it is installed: many processes that hand arrays to each other fragment the C library's memory.
jemalloc="$( (PATH="$PATH:/usr/sbin:/sbin"; ldconfig -p) 2>/dev/null | awk '/libjemalloc\.so\.2 / {print $NF; exit}')"
if [ -z "$jemalloc" ]; then
    for jemalloc in /usr/lib/*-linux-gnu/libjemalloc.so.2 /usr/lib64/libjemalloc.so.2 /usr/local/lib/libjemalloc.so.2; do
        [ -e "$jemalloc" ] && break
        jemalloc=
    done
fi
if [ -n "$jemalloc" ] && [[ "$LD_PRELOAD" != *malloc* ]]; then
    export LD_PRELOAD="$jemalloc${LD_PRELOAD:+:$LD_PRELOAD}"
fi

exec "$python" -m training.launch "$@"
