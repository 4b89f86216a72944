#!/bin/sh
# Takes AI Runner off this Mac: the programs, ONNX Runtime, the built-in models, and agents that would
# start what is gone. Settings, models, data and logs in home directories stay.
#
#     sudo /usr/local/share/airunner/uninstall.sh
#
# With "--root DIRECTORY" from a system that is mounted there.
set -eu

root=
if [ "${1-}" = --root ] && [ -n "${2-}" ]; then
    root="${2%/}"
elif [ "$#" -ne 0 ]; then
    echo "usage: $0 [--root DIRECTORY]" >&2
    exit 2
elif [ "$(id -u)" -ne 0 ]; then
    echo "airunner: this takes the rights of an administrator: sudo $0" >&2
    exit 1
fi
prefix="$root/usr/local"
files="$prefix/share/airunner/files.txt"
if [ ! -f "$files" ]; then
    echo "airunner: $files is missing, so nothing says what was installed" >&2
    exit 1
fi

# Agents of whoever is logged in end before their program is gone.
if [ -z "$root" ]; then
    for user in $(ps -axo uid=,comm= | sed -n 's|^ *\([0-9]*\) .*/airunner[a-z-]*$|\1|p' | sort -u); do
        for label in dev.airunner.tray dev.airunner.daemon; do
            launchctl bootout "gui/$user/$label" 2>/dev/null || true
        done
    done
fi
# Those of everybody who has one for the programs that go; another's installation keeps its own.
for agent in "$root"/Users/*/Library/LaunchAgents/dev.airunner.*.plist "$root"/Library/LaunchAgents/dev.airunner.*.plist; do
    if [ -f "$agent" ] && grep -q '<string>/usr/local/bin/airunner' "$agent"; then
        rm -f "$agent"
    fi
done
# The list itself is in it, and is read to its end although it is removed on the way.
while IFS= read -r path; do
    case "$path" in
        /* | *..*) continue ;;
    esac
    rm -f "$prefix/$path"
done <"$files"
for directory in lib/airunner share/airunner share/doc/airunner; do
    if [ -d "$prefix/$directory" ]; then
        # What somebody else has put there keeps its folder.
        find "$prefix/$directory" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    fi
done
if [ -z "$root" ]; then
    pkgutil --forget ai-runner >/dev/null 2>&1 || true
fi
echo "AI Runner is gone. Settings, models and data are where they were: ~/Library/Application Support/airunner, ~/Library/Caches/airunner."
