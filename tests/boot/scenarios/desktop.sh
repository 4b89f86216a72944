#!/bin/bash
# The tray in a user's session: what is clicked in its menu really changes what systemd starts at
# login, and what an upgrade leaves to do is said and done there.
#
# No desktop is installed: the menu is read and clicked over D-Bus, as desktops do it.
set -u
. ./lib.sh

service_of() { as ann systemctl --user "$1" airunner.service; }
enabled() { [[ $(service_of is-enabled) == "$1" ]]; }
daemon() { pgrep -u ann -f '^/usr/bin/airunnerd' | head -1; }
no_daemon() { [[ -z $(daemon) ]]; }
other_daemon() {
    local found
    found=$(daemon)
    [[ -n $found && $found != "$1" ]]
}
status_says() { holds "$1" "$(as ann airunner status --json)"; }
setting_says() { holds "$1" "$(as ann airunner settings get desktop.start_at_login)"; }

# The tray, as a service of the session so that it has what programs of a session have.
tray() { as ann systemd-run --user --quiet --collect --unit=tray airunner-tray "$@"; }
# Until systemd has forgotten it, nothing else can have its name.
tray_ended() { [[ $(as ann systemctl --user show tray.service --property=LoadState --value) == not-found ]]; }
icon() { as ann busctl --user list --no-legend | grep -o '^org\.kde\.StatusNotifierItem-[0-9-]*' | head -1; }
call() {
    local method=$1
    shift
    as ann busctl --user --json=short -- call "$(icon)" /MenuBar com.canonical.dbusmenu "$method" "$@"
}
menu() { call GetLayout iias 0 -1 0; }
says() { menu | grep -qF "\"$1"; }
no_longer_says() { menu >said && ! grep -qF "\"$1" said; }
property='"[a-z-]+":\{"type":"[a-z]+","data":[^{}]*\},?'
# The entry whose label begins like that: its number and its properties.
entry() { menu | grep -oP "\[\d+,\{(?:$property)*?\"label\":\{\"type\":\"s\",\"data\":\"$1[^{}]*\},?(?:$property)*\}" | head -1; }
# Clicks it, if it can be chosen now: a menu whose entries have changed since they were read refuses
# the number. A tray that quits need not answer.
click_once() {
    local entry number answer
    entry=$(entry "$1")
    number=$(grep -oP '^\[\K\d+' <<<"$entry")
    [[ -n $number && $entry != *'"enabled":{"type":"b","data":false}'* ]] || return
    answer=$(call Event isvu "$number" clicked i 0 0 2>&1) || [[ $answer != *"not found"* ]]
}
click() { until_true 300 click_once "$1"; }
checked() { [[ $(entry "$1" | grep -oP '"toggle-state":\{"type":"i","data":\K\d') == "$2" ]]; }
opened() { call AboutToShow i 0 && says "$1"; }

user ann
must "ann logs in" login ann
must "apt installs the package" apt-get install -y --no-install-recommends "$PWD/airunner_1.deb"

echo "== the tray"
must "it starts, with the daemon" tray --start
must "its menu is there" until_true 300 says Idle
check "nothing starts at login that nobody wants" enabled disabled
check "the menu asks whether it should" until_true 300 says "Start AI Runner when you log in?"
check "and says that it does not" checked "Start at login" 0

echo "== start at login"
check "a click on it" click "Start at login"
check "has systemd start the service" until_true 300 enabled enabled
check "the menu says so" until_true 300 checked "Start at login" 1
check "nobody is asked any more" until_true 300 no_longer_says "Start AI Runner when you log in?"
check "the setting says so as well" until_true 300 setting_says true
check "the tray comes with the desktop" until_true 300 as ann test -e .config/autostart/airunner-tray.desktop
check "the tray is quit" click "Quit tray"
check "and is gone" until_true 300 tray_ended
check "ann logs out" logout ann
check "nothing of hers runs" until_true 300 no_daemon
check "she logs in" login ann
check "the daemon is there without being asked" until_true 300 service_of is-active
check "and answers" until_true 300 status_says '"running": true'

echo "== and no more"
check "the tray starts" tray
check "it knows how things are" until_true 300 checked "Start at login" 1
check "a click on it" click "Start at login"
check "has systemd leave it alone" until_true 300 enabled disabled
check "the menu says so" until_true 300 checked "Start at login" 0
check "the setting says so as well" until_true 300 setting_says false
check "the tray does not come with the desktop" until_true 300 not as ann test -e .config/autostart/airunner-tray.desktop
check "the daemon goes on" service_of is-active

echo "== an upgrade"
before=$(daemon)
check "the next package goes over it" apt-get install -y --no-install-recommends "$PWD/airunner_2.deb"
check "the menu says what is left to do" until_true 300 opened "Restart the daemon to finish the upgrade"
check "a click on it" click "Restart the daemon"
check "brings another daemon" until_true 300 other_daemon "$before"
check "which is the installed one" until_true 300 status_says '"outdated": false'
check "the tray is the last of before" until_true 300 opened "Quit the tray and start it again"
check "it is quit" click "Quit tray"
check "and is gone" until_true 300 tray_ended
check "and started again" tray
check "nothing is left to do" until_true 300 says Idle
check "as the menu says" until_true 300 no_longer_says "Quit the tray and start"

echo "== the next login"
check "the tray and the daemon end on a click" click "Stop the daemon and quit"
check "and are gone" until_true 300 tray_ended
check "ann logs out" logout ann
check "she logs in" login ann
check "all that starts at login has started" until_true 300 as ann systemctl --user is-active default.target
check "nothing of AI Runner is among it" no_daemon
finish
