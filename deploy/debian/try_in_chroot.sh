#!/usr/bin/env bash
# Installs the package in a fresh Debian, removes and purges it, and looks each time at what is there and what is left.
#
#   try_in_chroot.sh PACKAGE.deb DIRECTORY      as root, with debootstrap; DIRECTORY keeps the fresh system for the next time
set -euo pipefail

package=$(readlink -f "$1") directory=$2
[ "$(id -u)" = 0 ] || { echo "try_in_chroot: only root can make a chroot" >&2; exit 1; }
mkdir -p "$directory"
directory=$(readlink -f "$directory")
root=$directory/tried

die() { echo "try_in_chroot: $*" >&2; exit 1; }
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

# The archive that this system uses.
make_base() {
    local archive
    archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)
    rm -rf "$directory/base.new"
    debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$directory/base.new" "$archive" >&2
    rm -rf "$directory/base.new/etc/apt/sources.list.d"
    cp -a /etc/apt/sources.list.d "$directory/base.new/etc/apt/"
    if [ -f /etc/apt/sources.list ]; then cp /etc/apt/sources.list "$directory/base.new/etc/apt/"
    else rm -f "$directory/base.new/etc/apt/sources.list"; fi
    apt-config dump | grep '^Acquire::' > "$directory/base.new/etc/apt/apt.conf.d/99host" || true
    cp /etc/resolv.conf "$directory/base.new/etc/resolv.conf"
    mv "$directory/base.new" "$directory/base"
}

# there PATH OWNER MODE
there() {
    local seen
    seen=$(inside stat -c '%U:%G %a' "$1" 2>/dev/null) || die "$1 is missing"
    [ "$seen" = "$2 $3" ] || die "$1 is $seen, not $2 $3"
}
gone() { [ ! -e "$root$1" ] || die "$1 is left"; }

[ -d "$directory/base" ] || make_base
rm -rf "$root"
cp -a "$directory/base" "$root"
trap 'rm -rf "$root"' EXIT
cp "$package" "$root/turnout.deb"

inside apt-get update -qq >&2
inside apt-get install -y -qq --no-install-recommends /turnout.deb >&2
there /usr/bin/turnout root:root 755
there /etc/turnout/turnout.toml root:turnout 640
for unit in service socket; do there "/lib/systemd/system/turnout.$unit" root:root 644; done
# A minimal system leaves out manual pages: they are looked for in the package itself.
contents=$(dpkg-deb --contents "$package")
for page in man1/turnout.1.gz man5/turnout.toml.5.gz; do
    case "$contents" in *"/usr/share/man/$page"*) ;; *) die "the package lacks $page" ;; esac
done
there /usr/share/turnout/turnout.schema.json root:root 644
inside getent passwd turnout >/dev/null || die "there is no user turnout"
inside turnout --version
inside su -s /bin/sh turnout -c 'turnout serve --config /etc/turnout/turnout.toml --check-config'
inside mkdir -p /var/lib/turnout/reports

inside apt-get remove -y -qq turnout >&2
gone /usr/bin/turnout
gone /lib/systemd/system/turnout.service
there /etc/turnout/turnout.toml root:turnout 640
there /var/lib/turnout root:root 755

inside apt-get purge -y -qq turnout >&2
gone /etc/turnout/turnout.toml
gone /var/lib/turnout
echo "installed, removed and purged in a fresh $(. /etc/os-release && echo "$PRETTY_NAME"): nothing is missing, nothing is left"
