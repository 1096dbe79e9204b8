#!/bin/sh
# Build and run all tests: release with gcc, then sanitized with clang. Ends with a line "N passed,
# N failed".
# usage: tools/test.sh        (TEST_SUITES="unit kernels" narrows it)
set -u
cd "$(dirname "$0")/.."
log=$(mktemp) && trap 'rm -f "$log"' EXIT
status=0

# build_and_test DIRECTORY COMPILER OPTION...
build_and_test() {
    dir=$1 cc=$2
    shift 2
    echo "== $dir: $cc $*"
    command -v ccache >/dev/null && cc="ccache $cc" # meson looks for it only where no compiler is named
    [ -f "$dir/build.ninja" ] || CC="$cc" meson setup "$dir" "$@" >"$log.setup" 2>&1 ||
        { cat "$log.setup"; status=1; return; }
    ninja -C "$dir" --quiet || { status=1; return; }
    {
        meson test -C "$dir" --no-rebuild --print-errorlogs ${TEST_SUITES:+$(printf -- '--suite %s ' $TEST_SUITES)} 2>&1
        echo $? >"$log.rc"
    } | tee -a "$log"
    [ "$(cat "$log.rc")" = 0 ] || status=1
}

build_and_test build-test gcc --buildtype=release -Dtests=enabled -Dwerror=true
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
build_and_test build-sanitize clang --buildtype=debugoptimized -Dtests=enabled -Dwerror=true \
    -Db_sanitize=address,undefined \
    -Db_lundef=false

passed=$(awk '/^Ok: /{n+=$2} /^Expected Fail: /{n+=$3} END{print n+0}' "$log")
failed=$(awk '/^(Fail|Timeout|Unexpected Pass): /{n+=$NF} END{print n+0}' "$log")
rm -f "$log.setup" "$log.rc"
[ $status -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
