//! Every setting as a value.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use airunner_core::memory::Budget;
use airunner_core::model::CacheType;
use airunner_core::notification::{NotificationKind, QuietHours};
use airunner_core::{KeepAlive, ModelName};
use airunner_runtimes::Kernels;
use ipnet::IpNet;

/// Everything that can be set, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub daemon: DaemonSettings,
    pub models: ModelsSettings,
    pub memory: MemorySettings,
    pub downloads: DownloadsSettings,
    pub http: HttpSettings,
    pub runtime: RuntimeSettings,
    pub worker: WorkerSettings,
    pub log: LogSettings,
    pub notifications: NotificationsSettings,
    pub telemetry: TelemetrySettings,
    pub desktop: DesktopSettings,
    pub power: PowerSettings,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    /// How long running requests may still take after a shutdown was asked for.
    pub grace: Duration,
    /// An answer that nobody reads for so long is given up.
    pub reader_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ModelsSettings {
    pub keep_alive: KeepAlive,
    /// `None`: the one of the installation.
    pub builtin_directory: Option<PathBuf>,
    /// Requests that may wait altogether.
    pub max_waiting: usize,
    /// A request that has waited so long is served before newer ones, whatever is loaded.
    pub fair_after: Duration,
    /// Loaded at start, in this order.
    pub preload: Vec<ModelName>,
    /// How many of the most used models are loaded at start, besides.
    pub preload_most_used: usize,
    /// Those that outrank all others when memory is needed, the most important first.
    pub priority: Vec<ModelName>,
    /// Most bytes of packed weights kept on disk; `None`: none are kept.
    pub prepacked_cache: Option<u64>,
    /// Whose kernels compute.
    pub kernels: Kernels,
    /// How keys and values are kept where attention is ours.
    pub cache_type: CacheType,
    /// Most bytes of keys and values kept on disk; `None`: none are kept.
    pub cache_on_disk: Option<u64>,
}

/// How the program behaves on somebody's desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesktopSettings {
    /// The daemon goes on when the tray is quit; the tray asks for it.
    pub run_in_background: bool,
}

/// Sleep and battery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerSettings {
    /// No sleep while there is something to do.
    pub inhibit_sleep: bool,
    /// What is idle goes when the machine runs on battery.
    pub unload_on_battery: bool,
}

/// What is told to others. Nothing, unless it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// Where traces of requests are sent.
    pub otlp_endpoint: Option<String>,
}

/// What models and reservations may have together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemorySettings {
    /// Of main memory.
    pub cpu_budget: Budget,
    /// Of each GPU.
    pub gpu_budget: Budget,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// `None`: there is none.
    pub listen: Option<SocketAddr>,
    /// Connections at once.
    pub connections: usize,
    /// Bytes of the body of a request.
    pub body_bytes: usize,
    /// For the body of a request to arrive.
    pub body_time: Duration,
    /// Bytes of a file that is sent to make a model of it.
    pub upload_bytes: u64,
    pub auth: Auth,
    pub tls: Tls,
    /// PEM, with the chain; of [`Tls::Files`].
    pub tls_certificate: Option<PathBuf>,
    /// PEM; of [`Tls::Files`].
    pub tls_key: Option<PathBuf>,
    /// Names by which clients may call this server, besides its own; in small letters.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, such as `https://app.example`; in small letters.
    pub allowed_origins: Vec<String>,
    /// Networks that may call; empty: all.
    pub allow: Vec<IpNet>,
    /// Networks that may not, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Of each key and of each address; `None`: no limit.
    pub rate_limit: Option<Rate>,
    /// Listen on the port that clients of Ollama expect, too.
    pub ollama_port: bool,
}

/// Who needs a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    #[default]
    Required,
    /// Everybody who is not on this machine.
    LoopbackOpen,
}

/// How connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    /// With a certificate that the daemon makes.
    SelfSigned,
    /// With a certificate of the user.
    Files,
}

/// So many requests in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub within: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8484))),
            connections: 1024,
            body_bytes: 32 << 20,
            body_time: Duration::from_secs(60),
            upload_bytes: 64 << 30,
            auth: Auth::Required,
            tls: Tls::Off,
            tls_certificate: None,
            tls_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            trusted_proxies: Vec::new(),
            rate_limit: NonZeroU32::new(60_000).map(|count| Rate {
                count,
                within: Duration::from_secs(60),
            }),
            ollama_port: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DownloadsSettings {
    /// Without a slash at its end; `None`: the environment's, or else [`DEFAULT_HUB`].
    pub hub: Option<String>,
    /// Nothing is asked of the network.
    pub offline: bool,
    /// Open to the hub at once.
    pub connections: usize,
    /// Bytes per second, all downloads together; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// The hub may be at an address of a private network or of this machine.
    pub allow_private_addresses: bool,
}

/// Where models come from unless another hub is set.
pub const DEFAULT_HUB: &str = "https://huggingface.co";

#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeSettings {
    /// `None`: looked for in the usual places.
    pub onnxruntime_library: Option<PathBuf>,
    /// `None`: one per physical core this process may use.
    pub threads: Option<usize>,
    pub allow_spinning: bool,
    /// Upper bound, tokens.
    pub context_length: u32,
    pub parallel_requests: usize,
    pub queue_length: usize,
    pub prompt_chunk: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSettings {
    /// Bytes; `None`: no limit.
    pub address_space: Option<u64>,
    pub open_files: u64,
    pub load_timeout: Duration,
    pub stop_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    pub level: LogLevel,
    /// A log file is put aside once it is this long.
    pub max_bytes: u64,
    /// Log files kept, the current one included.
    pub max_files: usize,
}

/// What the user of this machine is told.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationsSettings {
    pub enabled: bool,
    /// Not told.
    pub disabled_kinds: Vec<NotificationKind>,
    /// Told later.
    pub quiet_hours: Option<QuietHours>,
    /// A wait that is worth telling when it is over.
    pub long_wait: Duration,
}

/// How much is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What a model may use of its context unless more is asked for: a cache for the whole of what
/// packages declare (often 128k tokens) would not fit into most machines.
pub(super) const USUAL_CONTEXT: u32 = 8192;

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            reader_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for ModelsSettings {
    fn default() -> Self {
        Self {
            keep_alive: KeepAlive::default(),
            builtin_directory: None,
            max_waiting: 512,
            fair_after: Duration::from_secs(30),
            preload: Vec::new(),
            preload_most_used: 0,
            priority: Vec::new(),
            prepacked_cache: Some(16 << 30),
            kernels: Kernels::Auto,
            cache_type: CacheType::Auto,
            cache_on_disk: None,
        }
    }
}

impl Default for DownloadsSettings {
    fn default() -> Self {
        Self {
            hub: None,
            offline: false,
            connections: 8,
            bandwidth: None,
            allow_private_addresses: false,
        }
    }
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            onnxruntime_library: None,
            threads: None,
            allow_spinning: false,
            context_length: USUAL_CONTEXT,
            parallel_requests: 8,
            queue_length: 2,
            prompt_chunk: 256,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            address_space: None,
            open_files: 1024,
            load_timeout: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for DesktopSettings {
    fn default() -> Self {
        Self {
            run_in_background: true,
        }
    }
}

impl Default for PowerSettings {
    fn default() -> Self {
        Self {
            inhibit_sleep: true,
            unload_on_battery: false,
        }
    }
}

impl Default for NotificationsSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            disabled_kinds: Vec::new(),
            quiet_hours: None,
            long_wait: Duration::from_secs(20),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            max_bytes: 10 << 20,
            max_files: 5,
        }
    }
}
