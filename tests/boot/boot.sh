#!/bin/bash
# Boots a bare Debian under systemd and runs a script in it as root.
#
#   boot.sh check                    whether that is possible here; if not, says why and ends with 77;
#                                    makes the tree they are copies of, if there is none yet
#   boot.sh SCRIPT [FILE ...]        SCRIPT and the FILEs are put into /root of a fresh copy of the tree
#
# Prints what the script prints and ends as it does; 98: it did not come to its end. The tree is
# made once, in AIRUNNER_BOOT_CACHE or /var/cache/airunner-test/base.
#
# Everything runs in a control group of its own, made here and removed at the end. That is not
# optional: a systemd that is started in the machine's root group moves every process of that group
# into its own scope. So this refuses to go on where it cannot have one. The machine has no network
# but its own loopback, so that it is as bare as it looks and disturbs nobody's ports.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${AIRUNNER_BOOT_CACHE:-/var/cache/airunner-test/base}
release=bookworm
groups=/sys/fs/cgroup

impossible() {
    echo "no machine can be booted here: $1" >&2
    exit 77
}

# Hierarchies of control groups in which a group is made, one a line; "." is the only one there is.
hierarchies() {
    if [[ -e $groups/cgroup.controllers ]]; then
        echo .
    else
        ls "$groups" | grep -vE '^(cpuset|cpu|cpuacct|cpu,cpuacct)$'
    fi
}

check() {
    [[ $(uname -s) == Linux ]] || impossible "it takes Linux"
    [[ $(id -u) == 0 ]] || impossible "it takes root"
    local program
    for program in debootstrap systemd-nspawn unshare mount; do
        command -v $program >/dev/null || impossible "$program is missing (apt-get install debootstrap systemd-container)"
    done
    local probe=airunner-probe-$$ hierarchy
    for hierarchy in $(hierarchies); do
        mkdir "$groups/$hierarchy/$probe" 2>/dev/null || impossible "no control group can be made in $groups/$hierarchy"
        rmdir "$groups/$hierarchy/$probe"
    done
    unshare --mount --net true 2>/dev/null || impossible "namespaces are not allowed"
}

# The tree that every machine is a copy of; made by one of those who want it, while the others wait.
make_base() {
    mkdir -p "$(dirname "$cache")"
    exec 8>"$cache.lock"
    flock 8
    [[ -e $cache/.complete ]] && return
    rm -rf --one-file-system "$cache"
    mkdir -p "$cache"
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps \
        "$release" "$cache" $(mirror) >"$work/debootstrap.log" 2>&1 || {
        tail -5 "$work/debootstrap.log" >&2
        impossible "debootstrap failed"
    }
    rm -rf "$cache"/var/cache/apt/archives/*.deb "$cache"/var/lib/apt/lists/*
    touch "$cache/.complete"
    exec 8>&-
}

# Where this machine gets its own packages, if it is a Debian.
mirror() {
    apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        awk -v release="$release" '$2 == release { print $1; exit }'
}

make_tree() {
    cp -a --reflink=auto "$cache" "$work/root"
    install -m755 "$script" "$work/root/root/test.sh"
    install -m644 "$here/lib.sh" "$work/root/root/lib.sh"
    local file
    for file in "$@"; do cp "$file" "$work/root/root/"; done
    chmod 700 "$work/root/root"
    local units=$work/root/etc/systemd/system
    cat >"$units/airunner-test.service" <<'UNIT'
[Unit]
After=dbus.service systemd-logind.service systemd-user-sessions.service
[Service]
Type=oneshot
WorkingDirectory=/root
ExecStart=/bin/bash -c './test.sh >/root/output 2>&1; echo $? >/root/status'
ExecStopPost=/bin/systemctl poweroff --no-block
UNIT
    # What a Debian does by itself at some hour of the day would hold the package manager's lock.
    local timer
    for timer in apt-daily apt-daily-upgrade dpkg-db-backup; do ln -s /dev/null "$units/$timer.timer"; done
    mkdir -p "$units/multi-user.target.wants"
    ln -s ../airunner-test.service "$units/multi-user.target.wants/"
}

group=airunner-boot-$$
enter_group() {
    local hierarchy
    for hierarchy in $(hierarchies); do
        mkdir -p "$groups/$hierarchy/$group" && echo $$ >"$groups/$hierarchy/$group/cgroup.procs"
    done
    grep -qE "^(0:|[0-9]+:name=systemd):/$group\$" /proc/self/cgroup || impossible "no control group of its own: refusing"
}

leave() {
    local hierarchy
    for hierarchy in $(hierarchies); do
        [[ -d $groups/$hierarchy/$group ]] || continue
        echo $$ >"$groups/$hierarchy/cgroup.procs"
        find "$groups/$hierarchy/$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    rm -rf --one-file-system "$work"
}

check
work=$(mktemp -d /var/tmp/airunner-boot.XXXXXX)
trap leave EXIT
make_base
[[ ${1:-} == check ]] && exit 0
script=$1
shift
make_tree "$@"
enter_group
# The mounts are seen by this machine alone, and end with it.
timeout -k 10 "${AIRUNNER_BOOT_SECONDS:-3600}" unshare --mount --propagation private bash -c '
    mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
    exec systemd-nspawn --register=no --keep-unit --private-network --quiet --console=pipe \
        --directory="$1" --machine="airunner-test-$2" --boot systemd.unit=multi-user.target' \
    _ "$work/root" $$ </dev/null >"$work/console" 2>&1
cat "$work/root/root/output" 2>/dev/null || tail -20 "$work/console" >&2
[[ -n ${AIRUNNER_BOOT_CONSOLE:-} ]] && cp "$work/console" "$AIRUNNER_BOOT_CONSOLE"
exit "$(cat "$work/root/root/status" 2>/dev/null || echo 98)"
