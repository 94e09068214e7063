#!/usr/bin/env bash
# Runs the tests, part by part, and sums up: test/run.sh [lint] [pytest] [rostest]; all three where none is named.
# A part that fails stops none of the others; the status is 0 only if all passed, and why each failed one did is shown
# again at the end; all that they said is in out/test/parts. Needs ./install.sh; `make test` runs both.

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
# Tests at once: one for each core, and 8 at most, for the memory. nproc, too, goes by OMP_NUM_THREADS.
workers="$(env -u OMP_NUM_THREADS nproc)"
[ "$workers" -le 8 ] || workers=8
rm -rf "$ROS_HOME" out/test/parts
mkdir -p out/test/parts
touch out/test/parts/{summary,failed}

# part NAME COMMAND...: runs it, at most 30 minutes, and notes how it went.
part() {
    local name="$1" begun=$SECONDS result=passed log="out/test/parts/${1//[ \/]/-}.log"
    shift
    echo "---- $name: $*"
    timeout --kill-after=10 1800 "$@" 2>&1 | tee "$log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        result=FAILED
        echo "$log" >>out/test/parts/failed
    fi
    printf '%-8s %4d s  %s\n' "$result" $((SECONDS - begun)) "$name" >>out/test/parts/summary
}

# A test of nodes, on a master of its own; what it printed is shown in one piece when it is done.
rostest_part() {
    local said
    said="$(part "rostest $1" rostest --pkgdir "$PWD" "$1")"
    echo "$said"
}
export -f part rostest_part

# A failed test in what rostest says: "[PACKAGE.rosunit-SUITE/TEST][FAILURE]" and its traceback, to a line of dashes.
failed_test='^[[].*rosunit-(.*)/.*[]][[](ERROR|FAILURE)[]]-*$'

# failed_tests LOG: each of them with its traceback; of a long one the first and last lines.
failed_tests() {
    awk -v failed_test="$failed_test" '
        function show(i) {
            for (i = 0; i < count; i++) if (i < 12 || i >= count - 16) print block[i]; else if (i == 12) print "..."
            inside = count = 0
        }
        $0 ~ failed_test { inside = 1 }
        inside { block[count++] = $0 }
        inside && /^-+$/ && length($0) == 80 { show() }
        END { show() }
    ' "$1" | head -n 200
}

# printed_by_tests LOG: of each suite that failed, the end of what its tests and their nodes printed, which rostest writes
# into a file alone.
printed_by_tests() {
    local suite
    for suite in $(sed -nE "s#$failed_test#\1#p" "$1" | sort -u); do
        echo "---- the end of what $suite printed"
        sed -n '/<system-out>/,/<\/system-out>/p' "$ROS_HOME/test_results/placenet_ros/rosunit-$suite.xml" |
            sed '1d;$d' | tail -n 40
    done
}

for group in "${groups[@]}"; do
    case "$group" in
    lint)
        part ruff ruff check .
        part catkin_lint catkin_lint --offline --strict .
        ;;
    pytest)
        part pytest pytest --numprocesses="$workers" --dist=worksteal --durations=10
        ;;
    rostest)
        # Beside each other, and not in the background, where nodes would ignore SIGINT.
        printf '%s\0' test/node/*.test | xargs -0 -n 1 -P "$workers" bash -c 'rostest_part "$1"' bash ||
            exit 1
        ;;
    *)
        echo "test/run.sh: no part '$group': lint, pytest or rostest" >&2
        exit 1
        ;;
    esac
done

while read -r log; do
    if grep -qE "$failed_test" "$log"; then
        echo "---- the failed tests of $log"
        failed_tests "$log"
        printed_by_tests "$log"
    else
        echo "---- the end of $log"
        tail -n 40 "$log"
    fi
done <out/test/parts/failed
echo "---- summary"
cat out/test/parts/summary
if [ -s out/test/parts/failed ]; then
    echo "$(wc -l <out/test/parts/failed) of $(wc -l <out/test/parts/summary) parts failed" >&2
    exit 1
fi
