#!/usr/bin/env bash
# Runs the tests, part by part, and sums up: test/run.sh [lint] [pytest] [rostest]; all three where none is named.
# A part that fails stops none of the others; the status is 0 only if all passed, and the end of what each failed one
# said is shown again at the end; all of it is in out/test/parts. Needs ./install.sh; `make test` runs both.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
groups=("$@")
[ $# -gt 0 ] || groups=(lint pytest rostest)
set --  # ROS's set-up would take our arguments for its own
source ./env.sh || exit 1

# Logs and results of rostest: not in the home folder. Names that resolve wherever the tests run.
export ROS_HOME="$PWD/out/test/ros" ROS_HOSTNAME=localhost
unset ROS_IP
# One thread for each process. Several spin while they wait for each other: on a busy machine of two cores that made the
# tests up to six times slower.
export OMP_NUM_THREADS=1
rm -rf "$ROS_HOME" out/test/parts
mkdir -p out/test/parts
results=()
complaints=()

# part NAME COMMAND...: runs it, at most 30 minutes, and notes how it went.
part() {
    local name="$1" begun=$SECONDS result=passed log="out/test/parts/${1//[ \/]/-}.log"
    shift
    echo "---- $name: $*"
    timeout --kill-after=10 1800 "$@" 2>&1 | tee "$log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        result=FAILED
        complaints+=("$log")
    fi
    results+=("$(printf '%-8s %4d s  %s' "$result" $((SECONDS - begun)) "$name")")
}

for group in "${groups[@]}"; do
    case "$group" in
    lint)
        part ruff ruff check .
        part catkin_lint catkin_lint --offline --strict .
        ;;
    pytest)
        part pytest pytest --durations=10
        ;;
    rostest)
        for file in test/node/*.test; do
            part "rostest $file" rostest --pkgdir "$PWD" "$file"
        done
        ;;
    *)
        echo "test/run.sh: no part '$group': lint, pytest or rostest" >&2
        exit 1
        ;;
    esac
done

for log in "${complaints[@]}"; do
    echo "---- the end of $log"
    tail -n 40 "$log"
done
echo "---- summary"
printf '%s\n' "${results[@]}"
if [ ${#complaints[@]} -gt 0 ]; then
    echo "${#complaints[@]} of ${#results[@]} parts failed" >&2
    exit 1
fi
