#!/usr/bin/env bash
# Run a command in a fresh clone of HEAD on a bare Debian, as on a machine that has only make and
# git.
#
#     tools/bare.sh make demo                      Debian 12, as root
#     BARE_USER=1 tools/bare.sh make demo          as an ordinary user without sudo, after root has
#                                                  run tools/setup.sh test
#     BARE_DEBIAN=trixie tools/bare.sh make demo   Debian 13
#
# Needs root and debootstrap. The bare system (debootstrap's minbase, make, git) is made once and
# kept in $BARE_BASE, by default /var/tmp/clip-bare-DEBIAN. Each run gets a copy, which is removed
# at the end. The exit code is the command's, or 77 if no bare system can be made here (a line says
# why).
set -euo pipefail
debian=${BARE_DEBIAN:-bookworm}
base=${BARE_BASE:-/var/tmp/clip-bare-$debian}
top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)

left_out() { echo "bare: left out: $*" >&2; exit 77; }
[ $# -gt 0 ] || { echo "usage: tools/bare.sh COMMAND..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || left_out "needs root, to make a chroot"
command -v debootstrap >/dev/null || { apt-get update && apt-get install -y debootstrap; } >/dev/null 2>&1 ||
    left_out "there is no debootstrap"

root=$(mktemp -d "${TMPDIR:-/var/tmp}/clip-bare.XXXXXX")
chmod 755 "$root" # the root directory inside: tests also run as another user
finish() {
    for m in dev/pts dev proc; do
        if mountpoint -q "$root/$m"; then umount -l "$root/$m"; fi
    done
    rm -rf --one-file-system "$root"
}
trap finish EXIT

if ! [ -e "$base/.ready" ]; then
    echo "bare: making a bare Debian ($debian), once" >&2
    debootstrap --variant=minbase --include=make,git,ca-certificates "$debian" "$root" >"$root.log" 2>&1 ||
        { tail -n 3 "$root.log" >&2; rm -f "$root.log"; left_out "debootstrap failed"; }
    rm -f "$root.log"
    # this machine's settings for packages; its sources if it is the same Debian
    cp -r /etc/apt/apt.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg.d "$root/etc/apt/" 2>/dev/null || true
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/" 2>/dev/null || true
    if grep -qs "VERSION_CODENAME=$debian" /etc/os-release && [ -d /etc/apt/sources.list.d ]; then
        rm -f "$root/etc/apt/sources.list"
        cp -r /etc/apt/sources.list.d "$root/etc/apt/"
        [ ! -s /etc/apt/sources.list ] || cp /etc/apt/sources.list "$root/etc/apt/"
    fi
    touch "$root/.ready"
    rm -rf --one-file-system "$base"
    cp -a "$root/." "$base.$$" && mv -T "$base.$$" "$base"
else
    cp -a "$base/." "$root"
fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
mount -t proc proc "$root/proc" 2>/dev/null && mount --bind /dev "$root/dev" 2>/dev/null ||
    left_out "nothing can be mounted"
mount --bind /dev/pts "$root/dev/pts" 2>/dev/null || true
git clone -q --no-hardlinks "$top" "$root/home/clip"

# inside AS COMMAND... : run it in the clone
inside() {
    local as=$1
    shift
    chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
        CI="${CI:-}" \
        su "$as" -c "cd /home/clip && $(printf '%q ' "$@")"
}
if [ -n "${BARE_USER:-}" ]; then
    inside root tools/setup.sh test
    chroot "$root" useradd -m stranger
    chroot "$root" chown -R stranger: /home/clip
    inside stranger "$@"
else
    inside root "$@"
fi
