#!/bin/bash
# The service on a real systemd: installed, started, killed, hung, connected to, stopped, removed, by
# several users and with paths that mean something to somebody.
#
# The programs are taken out of the package (or of airunner.tar with bin/, lib/ and share/), not
# installed: what a package does is another scenario's. Each step builds on those before it, so the first that is not as it should be ends it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
step() { printf '== %s\n' "$*"; }
fail() { printf 'NOT OK: %s\n' "$*"; journalctl -q --no-pager -n 400 | grep -vE 'pam_|session-|run-u' | tail -40; exit 1; }
# Waits until a command succeeds.
until_true() {
  local what=$1 end=$((SECONDS + 300)); shift
  until "$@" >/dev/null 2>&1; do
    (( SECONDS < end )) || fail "$what"
    sleep 0.1
  done
}
# Runs a line as a user with a login session, as a terminal would.
as() {
  local user=$1; shift
  systemd-run --quiet --wait --pipe --collect -p User="$user" -p PAMName=login \
    --setenv=PATH="$path:/usr/bin:/bin" -- /bin/bash -c "$*"
}
expect() { # expect CODE USER LINE
  local code=$1 user=$2; shift 2
  output=$(as "$user" "$@" 2>&1); local got=$?
  [[ $got == "$code" ]] || fail "\"$*\" ended with $got: $output"
}
says() { [[ $output == *"$1"* ]] || fail "expected \"$1\" in: $output"; }
never_says() { [[ $output != *"$1"* ]] || fail "did not expect \"$1\" in: $output"; }
show() { as "$1" "systemctl --user show ${3:-airunner.service} --property=$2 --value"; }
pid_of() { show "$1" MainPID; }
log_in() {
  systemd-run --quiet --collect --unit="login-$1" -p User="$1" -p PAMName=login sleep infinity || fail "cannot log in"
  until_true "systemd of $1 runs" systemctl is-active --quiet "user@$(id -u "$1")"
}
log_out() {
  systemctl stop "login-$1"
  until_true "$1 is logged out" gone "user@$(id -u "$1")"
  until_true "nothing of $1 is left in /run" gone "user-runtime-dir@$(id -u "$1")"
  until_true "the session of $1 is forgotten" forgotten "login-$1"
}
# One that is still ending is not gone.
gone() { [[ $(systemctl show "$1" --property=ActiveState --value) == @(inactive|failed) ]]; }
forgotten() { [[ $(systemctl show "$1" --property=LoadState --value) == not-found ]]; }
changed() { local pid; pid=$(pid_of "$1"); [[ -n $pid && $pid != 0 && $pid != "$2" ]]; }

# What it says of itself comes a moment after what it tells of.
status_is() { [[ $(show "$1" StatusText) == $2 ]]; }
is_state() { [[ $(show "$1" ActiveState) == "$2" ]]; }
runs() { changed "$1" 0; }
logged() { journalctl --sync; [[ -n $(journalctl -q "$@") ]]; }
# It has said that it is well, again and again, for so many seconds since the start of its service.
well_for() {
  local began said
  began=$(show "$1" ExecMainStartTimestampMonotonic); said=$(show "$1" WatchdogTimestampMonotonic)
  (( said - began > $2 * 1000000 ))
}

# Whoever leaves is forgotten at once, so that this does not take long.
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nUserStopDelaySec=1\n' >/etc/systemd/logind.conf.d/test.conf
systemctl restart systemd-logind
for user in ann bob carl; do useradd --create-home --shell /bin/bash "$user" || fail "no user $user"; done

mkdir -p /opt/airunner
if [[ -e $here/airunner_1.deb ]]; then
  dpkg-deb --extract "$here/airunner_1.deb" /opt/package && mv /opt/package/usr/* /opt/airunner/ || fail "no programs"
else
  tar -C /opt/airunner -xf "$here/airunner.tar" || fail "no programs"
fi
path=/opt/airunner/bin
question="What is a worker, said the unmistakable walrus?"

step "nothing is installed, and nobody is asked without a terminal"
log_in ann
expect 3 ann airunner service status; says "not installed"
expect 0 ann airunner start; never_says "log in"
by_hand=$(as ann airunner status --json | grep -oP '"pid": \K\d+' | head -1)

step "a daemon that runs by hand is handed over"
expect 0 ann airunner service install --now; says "does not start when you log in"
[[ $(pid_of ann) != "$by_hand" && $(pid_of ann) != 0 ]] || fail "it was not handed over"
expect 1 ann systemctl --user is-enabled airunner.service; says disabled
expect 0 ann airunner service install --enable; says "it starts when you log in"; says enable-linger
expect 0 ann systemctl --user is-enabled airunner.service
expect 0 ann systemd-analyze --user --man=no verify /home/ann/.config/systemd/user/airunner.service \
  /home/ann/.config/systemd/user/airunner.socket
[[ -z $output ]] || fail "systemd complains: $output"

step "what systemd says is what is shown"
expect 0 ann airunner service status --json
says '"running": true'; says '"enabled": true'; says '"scope": "user"'; says "\"pid\": $(pid_of ann)"
says '"lingers": false'; says '"listening": true'
expect 0 ann airunner status; says "it starts when you log in"
until_true "systemd shows that no model is in memory" status_is ann "no model in memory"

step "the socket and its directory are private"
[[ $(stat -c '%a %U' /run/user/1000/airunner/airunnerd.sock) == "600 ann" ]] || fail "socket"
[[ $(stat -c '%a %U' /run/user/1000/airunner) == "700 ann" ]] || fail "directory"
expect 2 bob "ls /run/user/1000/airunner"; says "Permission denied"

step "models answer under the restrictions of the unit"
expect 0 ann "airunner chat builtin/helper '$question'"; [[ -n $output ]] || fail "no answer"
until_true "the status tells it" status_is ann "1 model in memory"
worker=$(pgrep -P "$(pid_of ann)" | head -1)
grep -q '^NoNewPrivs:.1' "/proc/$worker/status" && grep -q '^Seccomp:.2' "/proc/$worker/status" \
  || fail "a worker is not restricted"
tr '\0' '\n' <"/proc/$worker/environ" | grep -E '^(NOTIFY_SOCKET|LISTEN_)' && fail "a worker can speak for the daemon"
inode=$(awk '$8 == "/run/user/1000/airunner/airunnerd.sock" && $4 == "00010000" { print $7 }' /proc/net/unix)
[[ -n $inode ]] || fail "nobody listens"
find "/proc/$worker/fd" -lname "socket:\[$inode\]" | grep . && fail "a worker holds the daemon's socket"

step "the journal has fields, and no prompts"
# The daemon writes its log beside its work.
loaded=(_UID=1000 MODEL=builtin/helper EVENT=model_state FROM=LOADING)
until_true "the model is in the journal" logged "${loaded[@]}"
fields=$(journalctl -q -o json "${loaded[@]}" | tail -1)
[[ $fields == *'"_SYSTEMD_USER_UNIT":"airunner.service"'* ]] || fail "no entry of the model: $fields"
[[ $fields == *'"REASON":"loaded"'* && $fields == *'"PRIORITY":"6"'* ]] || fail "fields: $fields"
until_true "the start is in the journal" logged _UID=1000 EVENT=daemon_ready
journalctl -q -o export _UID=1000 | grep -q walrus && fail "a prompt is in the journal"
until_true "the model is in the log file" grep -q model_state /home/ann/.local/state/airunner/airunner.log

step "what crashes is brought back"
old=$(pid_of ann); kill -9 "$old"
until_true "it comes back after kill -9" changed ann "$old"
expect 0 ann airunner status; [[ $(show ann NRestarts) == 1 ]] || fail "restarts: $(show ann NRestarts)"
expect 0 ann airunner service status; says "brought back once"

step "what hangs is brought back"
old=$(pid_of ann)
[[ $(show ann WatchdogUSec) == 30s ]] || fail "the watchdog: $(show ann WatchdogUSec)"
until_true "it says that it is well for longer than the watchdog waits" well_for ann 31
[[ $(pid_of ann) == "$old" ]] || fail "the watchdog ended a daemon that is well"
kill -STOP "$old"
until_true "it comes back after SIGSTOP" changed ann "$old"
barked() { journalctl --sync; journalctl -q _UID=1000 | grep -q 'Watchdog timeout'; }
until_true "it was the watchdog" barked
expect 0 ann airunner status

step "a stopped service answers the first who connects"
expect 0 ann systemctl --user stop airunner.service
expect 3 ann airunner service status --json; says '"running": false'; says '"listening": true'
expect 0 ann airunner status; says "is running"
[[ $(pid_of ann) != 0 ]] || fail "it is not the service"

step "a second daemon does not take the socket away"
expect 0 ann systemctl --user stop airunner.service
expect 1 ann airunnerd --foreground; says "the service manager listens"
expect 0 ann airunner status
expect 1 ann airunnerd --foreground; says "runs already"

step "stop means stop, start and restart agree with the unit"
expect 0 ann airunner stop
expect 3 ann airunner status; expect 3 ann systemctl --user is-active airunner.socket
[[ ! -e /run/user/1000/airunner/airunnerd.sock ]] || fail "the socket is still there"
expect 3 ann airunner stop
expect 0 ann airunner start; [[ $(pid_of ann) != 0 ]] || fail "start went past the unit"
old=$(pid_of ann)
expect 0 ann airunner restart; changed ann "$old" || fail "restart"
expect 0 ann airunner restart --force; expect 0 ann airunner stop --force; expect 0 ann airunner start
[[ $(show ann NRestarts) == 0 ]] || fail "an orderly end counts as a crash"

step "a process that was not told of the session finds the same daemon"
output=$(runuser -u ann -- env -i HOME=/home/ann PATH="$path:/usr/bin:/bin" airunner status --json) || fail "$output"
says "\"pid\": $(pid_of ann)"

step "an ending daemon may take its time, also if it is more than the unit allows"
expect 0 ann "mkdir -p ~/.config/systemd/user/airunner.service.d &&
  printf '[Service]\nTimeoutStopSec=15\nEnvironment=AIRUNNER_DAEMON_GRACE_SECONDS=120\n' >~/.config/systemd/user/airunner.service.d/test.conf &&
  systemctl --user daemon-reload && airunner restart && airunner load builtin/helper"
worker=$(pgrep -P "$(pid_of ann)" | head -1)
kill -STOP "$worker"
as ann "airunner chat builtin/helper 'What is a worker?'; echo ended with \$?" >/tmp/answer 2>&1 &
asking=$!
until_true "the model is at work" status_is ann "*at work*"
as ann "systemctl --user stop airunner.service" &
stopping=$!
until_true "the end begins" is_state ann deactivating
sleep 20; is_state ann deactivating || fail "it was not given the time"
kill -CONT "$worker"
wait $asking $stopping
grep -q 'ended with 0' /tmp/answer || fail "the answer was cut off: $(cat /tmp/answer)"
[[ $(show ann Result) == success ]] || fail "it was killed: $(show ann Result)"
expect 0 ann "rm -r ~/.config/systemd/user/airunner.service.d && systemctl --user daemon-reload && airunner restart"

step "who logs out ends it, who logs in starts it"
expect 0 ann airunner start
log_out ann
pgrep -u ann airunnerd && fail "it outlived the session"
log_in ann
until_true "it runs after the login" runs ann
expect 0 ann airunner status

step "two users at once, and a path that means something everywhere"
hostile="/opt/a 'b' \"c\" 100%n \$HOME \\d ä"
mkdir -p "$hostile" && cp -a /opt/airunner/. "$hostile/"
path=$hostile/bin
loginctl enable-linger bob; until_true "systemd of bob runs" systemctl is-active --quiet user@1001
expect 0 bob "airunner service install --now --enable"; never_says enable-linger
expect 0 bob "systemd-analyze --user --man=no verify ~/.config/systemd/user/airunner.service ~/.config/systemd/user/airunner.socket"
[[ -z $output ]] || fail "systemd complains: $output"
[[ $(readlink "/proc/$(pid_of bob)/exe") == "$hostile/bin/airunnerd" ]] || fail "$(readlink "/proc/$(pid_of bob)/exe")"
expect 0 bob "airunner chat builtin/helper 'What is a model?'"
expect 0 bob airunner status; [[ $(pid_of ann) != "$(pid_of bob)" ]] || fail "one daemon for two"
expect 0 bob "airunner service uninstall"

step "a home of its own, with a path that means something everywhere"
home="/home/bob/a 'b' \"c\" 100%n \$HOME \\d ä"
in_home() { local code=$1; shift; expect "$code" bob "export AIRUNNER_HOME=$(printf %q "$home"); $*"; }
in_home 0 airunner service install --now
in_home 0 airunner status; says "airunnerd.sock"
[[ $(as bob "AIRUNNER_HOME=$(printf %q "$home") airunner status --json" | grep -oP '"pid": \K\d+' | head -1) == "$(pid_of bob)" ]] \
  || fail "it is not the service"
expect 3 bob airunner status
expect 1 bob airunner service install; says "another home"
in_home 0 airunner service uninstall
path=/opt/airunner/bin

step "what was changed by hand is kept and said"
expect 0 ann "echo '# mine' >>~/.config/systemd/user/airunner.service && airunner service install"; says "changed by hand"
expect 0 ann "tail -1 ~/.config/systemd/user/airunner.service"; says "# mine"
expect 0 ann "airunner service install --replace && cat ~/.config/systemd/user/airunner.service.old"; says "# mine"

step "a package's unit is used, and upgrades keep what was chosen"
mkdir -p /usr/lib/systemd/user
for part in service socket; do
  option=; [[ $part == socket ]] && option=--socket
  "$path/airunner" service print --executable "$path/airunnerd" $option >"/usr/lib/systemd/user/airunner.$part" || fail "print"
done
expect 0 ann "airunner service uninstall"
expect 0 ann "airunner service install"; says "of a package"
[[ ! -e /home/ann/.config/systemd/user/airunner.service ]] || fail "there are two scopes"
expect 1 ann systemctl --user is-enabled airunner.service
expect 0 ann "airunner service install --enable --now"
expect 0 ann "airunner service install && systemctl --user is-enabled airunner.service"
expect 0 ann "systemd-analyze --user --man=no verify airunner.service airunner.socket"
expect 0 ann "airunner service uninstall"; expect 3 ann "systemctl --user is-active airunner.service"
expect 1 ann systemctl --user is-enabled airunner.service
[[ -e /usr/lib/systemd/user/airunner.service ]] || fail "a package's unit was removed"

step "a package's unit passes over root, who has one of its own"
log_in root
expect 0 root airunner service install --now --enable; says "it starts when you log in"
expect 0 root systemctl --user is-enabled airunner.service
[[ $(stat -c '%a %U' /run/user/0/airunner/airunnerd.sock) == "600 root" ]] || fail "socket of root"
expect 0 root airunner service status --json; says '"scope": "user"'; says "\"pid\": $(pid_of root)"
expect 0 root "airunner chat builtin/helper 'What is a model?'"; [[ -n $output ]] || fail "no answer"
[[ $(systemctl list-unit-files --no-legend 'airunner*' | grep -v airunner-test) == "" ]] || fail "the system has a unit"
expect 0 root airunner service uninstall; expect 3 root airunner service status
expect 2 bob "ls /run/user/0"
log_out root
rm /usr/lib/systemd/user/airunner.*

step "a person is asked once, and no is the answer"
log_in carl
ask() { expect 0 carl "script --quiet --return --command 'airunner start' /dev/null <<<'$1'"; }
ask ''; says "Start AI Runner when you log in? [y/N]"; says "is running"
expect 3 carl airunner service status
ask 'y'; never_says "[y/N]"
expect 0 carl "airunner stop && rm ~/.local/state/airunner/asked-to-start-at-login"
ask 'y'; says "[y/N]"; says "is running"
expect 0 carl systemctl --user is-enabled airunner.service
[[ $(pid_of carl) != 0 ]] || fail "it does not run as the service"
expect 0 carl airunner service uninstall

step "a home that cannot be written is a plain error"
expect 0 carl "rm -rf ~/.config/systemd && chmod 500 ~/.config"
expect 1 carl airunner service install --now; says "cannot write"; says "Permission denied"; never_says panicked
expect 0 carl "chmod 700 ~/.config"

step "without a login and without systemd it says what to do"
output=$(runuser -u nobody -- env -i HOME=/tmp PATH="$path:/usr/bin:/bin" airunner service install 2>&1) && fail "it worked: $output"
says "loginctl enable-linger"
output=$(unshare --mount bash -c "mount -t tmpfs tmpfs /run/systemd && '$path/airunner' service install" 2>&1) && fail "it worked: $output"
says "not run by systemd"; says "airunner start"

step "models and settings outlive the service"
[[ -e /home/ann/.local/share/airunner/airunner.db ]] || fail "data is gone"
echo "ALL OK"
