# The common part of the command's tests, which source it. $T is a folder for the test's files,
# $check the program check_output.
faults=0 tests=0 name=
export XDG_CACHE_HOME="$T/cache" # the user's own files are neither read nor written

fault() {
    faults=$((faults + 1))
    echo "FAULT: $name: $*"
    sed 's/^/    /' "$T/err" "$T/out" 2>/dev/null | head -5
}

it() { name=$*; }

# want CODE COMMAND...: runs it and expects this exit code and no report of a sanitizer. The streams
# go to out and err.
want() {
    tests=$((tests + 1))
    wanted=$1
    shift
    "$@" >"$T/out" 2>"$T/err"
    got=$?
    [ "$got" = "$wanted" ] || fault "exit code $got, not $wanted: $*"
    ! grep -q -e Sanitizer -e 'runtime error' "$T/err" || fault "sanitizer: $*"
}
says() { grep -q -F -- "$1" "$T/err" || fault "stderr does not say '$1'"; }
prints() { grep -q -F -- "$1" "$T/out" || fault "stdout does not say '$1'"; }
silent() { [ ! -s "$T/$1" ] || fault "$1 is not empty"; }
same() { [ "$1" = "$2" ] || fault "'$1' is not '$2'"; }
json() { "$check" get "$1" <"$T/out"; }
