#!/bin/bash
# Two users of one machine: install, first answer, upgrade, uninstall, purge.
set -u
. ./lib.sh

question="How do I see which models are loaded?"
ask() { as "$1" airunner chat builtin/helper "$question"; }
answers() { ask "$1" | grep -q "airunner ps"; }
daemon_of() { pgrep -u "$1" -f '^/usr/bin/airunnerd$|^/usr/bin/airunnerd --' | head -1; }
no_daemon_of() { [[ -z $(daemon_of "$1") ]]; }
enabled_for() { as "$1" systemctl --user is-enabled airunner.service; }
data_of() { as "$1" sh -c 'find .config/airunner .local/share/airunner -name "*.toml" -o -name airunner.db | sort'; }
active_for() { as "$1" systemctl --user is-active airunner.service; }

user alice
user bob
must "alice logs in" login alice

echo "== install"
begin=$(milliseconds)
must "apt installs the package, with nothing else" apt-get install -y --no-install-recommends "$PWD/airunner_1.deb"
installed=$(milliseconds)
as alice sh -c "airunner start && airunner chat builtin/helper '$question'" >first 2>&1
status=$?
answered=$(milliseconds)
same "the first question is answered" 0 $status
has "and rightly" "airunner ps" "$(cat first)"
figure "apt-get install" $((installed - begin))
figure "the first answer after it" $((answered - installed))
figure "install to first answer" $((answered - begin))

echo "== what is installed"
for program in airunner airunnerd airunner-tray; do
    check "/usr/bin/$program runs" "$program" --version
done
check "files are as they were packaged" dpkg --verify airunner
same "everything belongs to root" "" "$(dpkg -L airunner | xargs stat -c '%U:%G %n' | grep -v '^root:root ')"
same "nobody else can write" "" "$(dpkg -L airunner | xargs -I{} find {} -maxdepth 0 -perm /022 ! -type l)"
check "the command completes in bash" bash -c '. /usr/share/bash-completion/completions/airunner && complete -p airunner'
check "systemd reads the units" as alice systemd-analyze --user --man=no verify /usr/lib/systemd/user/airunner.service

echo "== nothing starts unasked"
same "the service is not enabled for everybody" disabled "$(systemctl --global is-enabled airunner.service)"
same "nor its socket" disabled "$(systemctl --global is-enabled airunner.socket)"
same "nor for alice" disabled "$(enabled_for alice)"
check "not even where everything unknown is enabled" systemctl --global preset airunner.service airunner.socket
same "that is what the preset is for" disabled "$(systemctl --global is-enabled airunner.service)"
check "what alice started by asking can be stopped" as alice airunner stop
check "bob logs in" login bob
check "and has no daemon" no_daemon_of bob

echo "== two users"
check "alice asks for the service" as alice airunner service install --enable --now
same "it is enabled for her" enabled "$(enabled_for alice)"
same "and runs" active "$(active_for alice)"
same "it is not for bob" disabled "$(enabled_for bob)"
check "bob starts a daemon of his own" as bob airunner start
check "alice is answered" answers alice
check "bob is answered" answers bob
refuse "bob cannot reach into alice's socket" as bob ls "/run/user/$(id -u alice)/airunner"
check "alice changes a setting" as alice sh -c 'mkdir -p ~/.config/airunner && echo "[models]" >>~/.config/airunner/config.toml && echo "keep_alive = \"7m\"" >>~/.config/airunner/config.toml'

echo "== upgrade"
before=$(daemon_of alice)
apt-get install -y --no-install-recommends "$PWD/airunner_2.deb" >upgrade 2>&1
same "the second package goes over the first" 0 $?
has "it says whose daemon is of before" "alice still runs the daemon of before" "$(cat upgrade)"
has "each of them" "bob still runs the daemon of before" "$(cat upgrade)"
same "alice's daemon was left alone" "$before" "$(daemon_of alice)"
check "the daemon of before still answers" answers alice
has "and she is told" "airunner restart" "$(as alice airunner status)"
outdated() { as alice airunner status --json | grep -o '"outdated": [a-z]*'; }
same "scripts are told as well" '"outdated": true' "$(outdated)"
check "she restarts it" as alice airunner restart
refuse "it is another process" is "$before" "$(daemon_of alice)"
not_told() { ! as alice airunner status | grep -q "airunner restart"; }
check "and there is nothing more to tell" not_told
same "nor to scripts" '"outdated": false' "$(outdated)"
same "it is still the service" active "$(active_for alice)"
same "and still enabled" enabled "$(enabled_for alice)"
same "it still is not for bob" disabled "$(enabled_for bob)"
has "her setting is kept" "7m" "$(as alice cat .config/airunner/config.toml)"
check "alice is answered" answers alice

echo "== uninstall"
data=$(data_of alice)
has "alice has settings" config.toml "$data"
has "and data" airunner.db "$data"
check "apt removes the package" apt-get remove -y airunner
check "alice's service has ended" until_true 300 no_daemon_of alice
refuse "the programs are gone" test -e /usr/bin/airunner
same "her data is not" "$data" "$(data_of alice)"

echo "== purge"
check "apt installs it again" apt-get install -y --no-install-recommends "$PWD/airunner_2.deb"
check "alice's data is taken up" as alice airunner start
has "with her setting" 7m "$(as alice cat .config/airunner/config.toml)"
check "she stops it" as alice airunner stop
check "apt purges it" apt-get purge -y airunner
same "nothing is left in the system" "" "$(find / -xdev -ipath '*airunner*' ! -path '/root/*' ! -path '/home/*' ! -path '/proc/*' ! -path '/var/log/*' ! -path '/etc/systemd/system/*airunner-test*' ! -path '/var/cache/*')"
same "what is in the homes is their users'" "$data" "$(data_of alice)"

echo "== ONNX Runtime"
same "it kept no record of its own" "" "$(find /home /root -ipath '*microsoft*')"

finish
