# What the tests of the command share; sourced by them. $T is a folder of their own, $check the program check_output.
faults=0 tests=0 name=
export XDG_CACHE_HOME="$T/cache" # nothing of whoever runs the tests is read or written

fault() {
    faults=$((faults + 1))
    echo "FAULT: $name: $*"
    sed 's/^/    /' "$T/err" "$T/out" 2>/dev/null | head -5
}

it() { name=$*; }

# want CODE COMMAND...: run it; its streams end up in out and err, and a sanitizer must have nothing to say
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
