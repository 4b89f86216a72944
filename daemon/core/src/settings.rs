//! Settings as clients see them.

use std::fmt;

/// Every setting, by section: for whoever completes or checks names without a daemon.
pub const NAMES: [&str; 59] = [
    "daemon.grace_seconds",
    "daemon.reader_timeout_seconds",
    "models.keep_alive",
    "models.builtin_directory",
    "models.max_waiting",
    "models.fair_after_seconds",
    "models.preload",
    "models.preload_most_used",
    "models.priority",
    "models.prepacked_cache",
    "models.kernels",
    "models.cache_type",
    "models.cache_on_disk",
    "memory.cpu_budget",
    "memory.gpu_budget",
    "http.listen",
    "http.connections",
    "http.body_limit",
    "http.body_timeout_seconds",
    "http.upload_limit",
    "http.auth",
    "http.tls",
    "http.tls_certificate",
    "http.tls_key",
    "http.allowed_hosts",
    "http.allowed_origins",
    "http.allow",
    "http.deny",
    "http.trusted_proxies",
    "http.rate_limit",
    "http.ollama_port",
    "downloads.hub",
    "downloads.offline",
    "downloads.connections",
    "downloads.bandwidth",
    "downloads.allow_private_addresses",
    "runtime.onnxruntime_library",
    "runtime.threads",
    "runtime.allow_spinning",
    "runtime.context_length",
    "runtime.parallel_requests",
    "runtime.queue_length",
    "runtime.prompt_chunk",
    "worker.address_space_limit",
    "worker.open_files",
    "worker.load_timeout_seconds",
    "worker.stop_timeout_seconds",
    "log.level",
    "log.max_bytes",
    "log.max_files",
    "telemetry.otlp_endpoint",
    "notifications.enabled",
    "notifications.disabled_kinds",
    "notifications.quiet_hours",
    "notifications.long_wait_seconds",
    "desktop.run_in_background",
    "desktop.start_at_login",
    "power.inhibit_sleep",
    "power.unload_on_battery",
];

/// When a changed setting begins to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applies {
    /// While the daemon runs.
    AtOnce,
    /// For every model that is loaded from then on.
    NextLoad,
    /// When the daemon is started the next time.
    Restart,
}

impl Applies {
    pub const ALL: [Self; 3] = [Self::AtOnce, Self::NextLoad, Self::Restart];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::NextLoad => "next_load",
            Self::Restart => "restart",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|applies| applies.as_str() == text)
    }
}

/// In words.
impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AtOnce => "at once",
            Self::NextLoad => "at the next load",
            Self::Restart => "after a restart",
        })
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettingSource {
    Default,
    /// `config.toml`.
    File,
    /// A variable, which overrides the file.
    Environment,
    /// The operating system knows it, not the file.
    System,
}

impl SettingSource {
    pub const ALL: [Self; 4] = [Self::Default, Self::File, Self::Environment, Self::System];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::System => "system",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// What is missing until the running daemon goes by a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pending {
    /// Nothing: it does.
    #[default]
    Nothing,
    /// The file was changed by hand and has to be read again.
    Reload,
    /// The daemon has to be restarted.
    Restart,
}

impl Pending {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Reload, Self::Restart];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pending| pending.as_str() == text)
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub section: String,
    pub key: String,
    /// As JSON, which is how it may stand in the file: `"5m"`, `true`, `["tiny"]`.
    pub value: String,
    /// As JSON.
    pub default: String,
    pub source: SettingSource,
    /// What may be written, for a person.
    pub allowed: String,
    /// One line for a person.
    pub help: String,
    pub applies: Applies,
    pub pending: Pending,
}

impl Setting {
    /// As people call it, such as `models.keep_alive`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Another value for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Such as `models.keep_alive`.
    pub name: String,
    /// As a person writes it: texts with or without quotes, lists with brackets or as
    /// `one,two`. `None`: taken out of the file, so that the default counts.
    pub value: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for applies in Applies::ALL {
            assert_eq!(Applies::parse(applies.as_str()), Some(applies));
        }
        for source in SettingSource::ALL {
            assert_eq!(SettingSource::parse(source.as_str()), Some(source));
        }
        for pending in Pending::ALL {
            assert_eq!(Pending::parse(pending.as_str()), Some(pending));
        }
        assert_eq!(
            (Applies::parse(""), SettingSource::parse("x"), Pending::parse("")),
            (None, None, None)
        );
    }
}
