# What the scenarios in a booted machine have in common: sourced by them as ./lib.sh.
#
# A scenario is a list of checks. Each prints "ok" or "FAILED" with its name, and what it saw if it
# failed; the scenario goes on then, because what comes after often says why.

export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
failures=0

# check NAME COMMAND...: passes if the command succeeds
check() {
    local name=$1 output status
    shift
    output=$("$@" 2>&1)
    status=$?
    if ((status == 0)); then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        printf '%s\n' "$output" "ended with $status: $1 ..." | sed 's/^/        /'
        failures=$((failures + 1))
    fi
    return $status
}

# must NAME COMMAND...: a check without which the others mean nothing
must() { check "$@" || finish; }

# refuse NAME COMMAND...: passes if the command fails
refuse() {
    local name=$1
    shift
    check "$name" not "$@"
}

not() { ! "$@"; }

# same NAME WANTED FOUND
same() { check "$1" is "$2" "$3"; }

is() {
    [[ $1 == "$2" ]] || { printf 'wanted: %s\nfound:  %s\n' "$1" "$2"; return 1; }
}

# has NAME WANTED TEXT: passes if the text holds the words
has() { check "$1" holds "$2" "$3"; }

holds() {
    [[ $2 == *"$1"* ]] || { printf 'wanted: %s\nin:     %s\n' "$1" "$2"; return 1; }
}

# until_true SECONDS COMMAND...: waits for a condition
until_true() {
    local end=$((SECONDS + $1)) last
    shift
    until last=$("$@" 2>&1); do
        if ((SECONDS >= end)); then
            printf 'waited in vain for: %s\n%s\n' "$*" "$last"
            return 1
        fi
        sleep 0.1
    done
}

# user NAME: an ordinary user
user() { useradd --create-home --shell /bin/bash "$1"; }

# login NAME: a session that lasts until logout
login() {
    systemd-run --quiet --collect --unit="session-$1" --property=PAMName=login --property="User=$1" \
        sleep infinity || return
    until_true 300 systemctl is-active "user@$(id -u "$1")" && until_true 300 test -S "/run/user/$(id -u "$1")/bus"
}

# logout NAME: ends the session and waits until the user's own manager is gone, and what it left in
# /run, which could be taken for the next one's; and until the name of the session is free.
logout() {
    systemctl stop "session-$1"
    until_true 300 ended "user@$(id -u "$1")" && until_true 300 ended "user-runtime-dir@$(id -u "$1")" &&
        until_true 300 forgotten "session-$1"
}

# ended UNIT: it does not run; one that is still ending does
ended() { [[ $(systemctl show "$1" --property=ActiveState --value) == @(inactive|failed) ]]; }

# forgotten UNIT: systemd knows it no more
forgotten() { [[ $(systemctl show "$1" --property=LoadState --value) == not-found ]]; }

# as NAME COMMAND...: runs it in a session of that user, from the home directory
as() {
    local name=$1
    shift
    runuser --login "$name" --command "$(
        printf 'export XDG_RUNTIME_DIR=/run/user/%s DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%s/bus; ' \
            "$(id -u "$name")" "$(id -u "$name")"
        printf '%q ' "$@"
    )"
}

# figure NAME MILLISECONDS: something to read, that no check depends on
figure() { echo "figure  $1: $2 ms"; }

milliseconds() { date +%s%3N; }

# finish: ends the scenario
finish() {
    ((failures == 0)) && exit 0
    echo "$failures checks failed"
    exit 1
}
