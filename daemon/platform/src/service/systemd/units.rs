//! The two units.

use super::super::{Definition, ServiceError, text};
use super::quote;

pub const SERVICE_UNIT: &str = "airunner.service";
pub const SOCKET_UNIT: &str = "airunner.socket";

/// Where a daemon listens that was told nothing else; `%t` is the user's runtime directory.
const USUAL_SOCKET: &str = "%t/airunner/airunnerd.sock";

/// Keeps a packaged unit out of the sessions of greeters and other accounts of the system.
const NOT_FOR_THE_SYSTEM: &str = "ConditionUser=!@system\n";

/// What a user's systemd can take away without privileges, and the daemon and its workers do
/// without. What would need a namespace of its own (`ProtectSystem=`, `PrivateTmp=`, `PrivateUsers=`)
/// is left out: where users may not make namespaces the daemon would not start, and models may lie
/// anywhere. Memory that is written and executed is left in: drivers of GPUs compile into it.
const HARDENING: &str = "\
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
";

/// `airunner.service`.
pub fn service_unit(definition: &Definition) -> Result<String, ServiceError> {
    let condition = condition(definition);
    let command = quote::command(&definition.executable)?;
    let mut environment = String::new();
    for (name, value) in &definition.environment {
        let assignment = quote::word(&format!("{name}={}", text::of_value(value)?));
        environment.push_str(&format!("Environment={assignment}\n"));
    }
    Ok(format!(
        "[Unit]\n\
         Description=AI Runner: AI models on this machine\n\
         Documentation=man:airunner(1)\n\
         Requires={SOCKET_UNIT}\n\
         After={SOCKET_UNIT}\n\
         {condition}\
         StartLimitIntervalSec=60\n\
         StartLimitBurst=5\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={command}\n\
         {environment}\
         WorkingDirectory=/\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         WatchdogSec=30\n\
         TimeoutStartSec=90\n\
         TimeoutStopSec=60\n\
         # Workers end with the daemon, in its order.\n\
         KillMode=mixed\n\
         # A worker that takes too much memory is a model's end, not the daemon's.\n\
         OOMPolicy=continue\n\
         {directories}\
         {HARDENING}\
         \n\
         [Install]\n\
         WantedBy=default.target\n\
         Also={SOCKET_UNIT}\n",
        directories = directories(definition),
    ))
}

/// The directories that are where systemd has them too. Data and state are not: older versions
/// put a `StateDirectory=` of a user among the settings, and newer ones make a link to there.
fn directories(definition: &Definition) -> &'static str {
    if definition.socket.is_some() {
        return "";
    }
    "ConfigurationDirectory=airunner\n\
     ConfigurationDirectoryMode=0700\n\
     CacheDirectory=airunner\n\
     CacheDirectoryMode=0700\n"
}

/// `airunner.socket`.
pub fn socket_unit(definition: &Definition) -> Result<String, ServiceError> {
    let condition = condition(definition);
    let address = match &definition.socket {
        None => USUAL_SOCKET.to_owned(),
        Some(path) => quote::rest_of_line(text::of_path(path)?),
    };
    Ok(format!(
        "[Unit]\n\
         Description=AI Runner: where its programs connect\n\
         Documentation=man:airunner(1)\n\
         {condition}\
         \n\
         [Socket]\n\
         ListenStream={address}\n\
         SocketMode=0600\n\
         DirectoryMode=0700\n\
         RemoveOnStop=yes\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    ))
}

const fn condition(definition: &Definition) -> &'static str {
    if definition.for_everybody {
        NOT_FOR_THE_SYSTEM
    } else {
        ""
    }
}
