//! The one list of what can be set.

use std::time::Duration;

use super::http::{auth, hosts, networks, origins, rate, tls};
use super::settings::{Settings, USUAL_CONTEXT};
use super::value::{
    Raw, address, budget, bytes, collector, hub, keep_alive, kernels, level, models, path, switch, whole,
};

/// One setting.
#[derive(Clone, Copy)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    /// As it would be written in the file.
    pub default: &'static str,
    /// One line for a person.
    pub help: &'static str,
    /// Reads and keeps a value; the error is what would be allowed.
    pub(super) set: fn(&mut Settings, Raw<'_>) -> Result<(), String>,
}

impl Key {
    /// The environment variable that overrides it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("AIRUNNER_{}_{}", self.section, self.name).to_uppercase()
    }
}

/// Every setting, by section.
pub const KEYS: &[Key] = &[
    Key {
        section: "daemon",
        name: "grace_seconds",
        default: "10",
        help: "how long running requests may still take when the daemon is asked to end",
        set: |settings, raw| whole(raw, 0, 3600).map(|n| settings.daemon.grace = seconds(n)),
    },
    Key {
        section: "daemon",
        name: "reader_timeout_seconds",
        default: "60",
        help: "an answer that its reader does not read for so long is given up",
        set: |settings, raw| whole(raw, 1, 60).map(|n| settings.daemon.reader_timeout = seconds(n)),
    },
    Key {
        section: "models",
        name: "keep_alive",
        default: "\"5m\"",
        help: "how long a model stays loaded after its last request; 0 unloads at once, -1 never",
        set: |settings, raw| keep_alive(raw).map(|time| settings.models.keep_alive = time),
    },
    Key {
        section: "models",
        name: "builtin_directory",
        default: "\"\"",
        help: "where the models that ship with the program are; \"\" looks beside the program",
        set: |settings, raw| path(raw).map(|path| settings.models.builtin_directory = path),
    },
    Key {
        section: "models",
        name: "max_waiting",
        default: "512",
        help: "requests that may wait altogether",
        set: |settings, raw| whole(raw, 1, 100_000).map(|n| settings.models.max_waiting = n as usize),
    },
    Key {
        section: "models",
        name: "fair_after_seconds",
        default: "30",
        help: "a request that has waited so long is served before newer ones, whatever is loaded",
        set: |settings, raw| whole(raw, 1, 3600).map(|n| settings.models.fair_after = seconds(n)),
    },
    Key {
        section: "models",
        name: "preload",
        default: "[]",
        help: "models that are loaded when the daemon starts, in this order, as far as they fit",
        set: |settings, raw| models(raw).map(|names| settings.models.preload = names),
    },
    Key {
        section: "models",
        name: "preload_most_used",
        default: "0",
        help: "how many of the most used models are loaded as well when the daemon starts",
        set: |settings, raw| whole(raw, 0, 100).map(|n| settings.models.preload_most_used = n as usize),
    },
    Key {
        section: "models",
        name: "priority",
        default: "[]",
        help: "models that stay loaded before all others when memory is needed, the most important first",
        set: |settings, raw| models(raw).map(|names| settings.models.priority = names),
    },
    Key {
        section: "models",
        name: "prepacked_cache",
        default: "\"16GiB\"",
        help: "most space for packed weights kept on disk, so that a later load need not pack them; 0 keeps none",
        set: |settings, raw| {
            bytes(raw, 0, true).map(|n| settings.models.prepacked_cache = (n > 0).then_some(n))
        },
    },
    Key {
        section: "models",
        name: "kernels",
        default: "\"auto\"",
        help: "what computes models: our kernels (auto), ONNX Runtime's (off), or ours with these instructions",
        set: |settings, raw| kernels(raw).map(|kernels| settings.models.kernels = kernels),
    },
    Key {
        section: "memory",
        name: "cpu_budget",
        default: "\"80%\"",
        help: "main memory that models and reservations may have together; 0 lets nothing be loaded there",
        set: |settings, raw| budget(raw).map(|budget| settings.memory.cpu_budget = budget),
    },
    Key {
        section: "memory",
        name: "gpu_budget",
        default: "\"80%\"",
        help: "memory of each GPU that models and reservations may have together; 0 leaves the GPUs alone",
        set: |settings, raw| budget(raw).map(|budget| settings.memory.gpu_budget = budget),
    },
    Key {
        section: "http",
        name: "listen",
        default: "\"127.0.0.1:8484\"",
        help: "address and port of the HTTP API; \"\" serves none, port 0 takes a free one",
        set: |settings, raw| address(raw).map(|address| settings.http.listen = address),
    },
    Key {
        section: "http",
        name: "connections",
        default: "1024",
        help: "connections to the HTTP API at once",
        set: |settings, raw| whole(raw, 1, 100_000).map(|n| settings.http.connections = n as usize),
    },
    Key {
        section: "http",
        name: "body_limit",
        default: "\"32MiB\"",
        help: "most bytes of the body of a request to the HTTP API",
        set: |settings, raw| {
            bytes(raw, 1024, false)
                .map(|n| settings.http.body_bytes = usize::try_from(n).unwrap_or(usize::MAX))
        },
    },
    Key {
        section: "http",
        name: "body_timeout_seconds",
        default: "60",
        help: "how long the body of a request may take to arrive",
        set: |settings, raw| whole(raw, 1, 3600).map(|n| settings.http.body_time = seconds(n)),
    },
    Key {
        section: "http",
        name: "upload_limit",
        default: "\"64GiB\"",
        help: "most bytes of one file that is sent to make a model of it",
        set: |settings, raw| bytes(raw, 1024, false).map(|n| settings.http.upload_bytes = n),
    },
    Key {
        section: "http",
        name: "auth",
        default: "\"required\"",
        help: "who needs a key: everybody (required), or everybody who is not on this machine (loopback-open)",
        set: |settings, raw| auth(raw).map(|auth| settings.http.auth = auth),
    },
    Key {
        section: "http",
        name: "tls",
        default: "\"off\"",
        help: "encrypt: off, self-signed (a certificate the daemon makes), or files (your own)",
        set: |settings, raw| tls(raw).map(|tls| settings.http.tls = tls),
    },
    Key {
        section: "http",
        name: "tls_certificate",
        default: "\"\"",
        help: "your certificate with its chain, PEM",
        set: |settings, raw| path(raw).map(|path| settings.http.tls_certificate = path),
    },
    Key {
        section: "http",
        name: "tls_key",
        default: "\"\"",
        help: "the private key of your certificate, PEM",
        set: |settings, raw| path(raw).map(|path| settings.http.tls_key = path),
    },
    Key {
        section: "http",
        name: "allowed_hosts",
        default: "[]",
        help: "names by which clients may call this machine, besides localhost and its address",
        set: |settings, raw| hosts(raw).map(|hosts| settings.http.allowed_hosts = hosts),
    },
    Key {
        section: "http",
        name: "allowed_origins",
        default: "[]",
        help: "web pages of other origins that may call, such as \"https://app.example\"",
        set: |settings, raw| origins(raw).map(|origins| settings.http.allowed_origins = origins),
    },
    Key {
        section: "http",
        name: "allow",
        default: "[]",
        help: "networks that may call; [] allows all",
        set: |settings, raw| networks(raw).map(|networks| settings.http.allow = networks),
    },
    Key {
        section: "http",
        name: "deny",
        default: "[]",
        help: "networks that may not call, whatever allow says",
        set: |settings, raw| networks(raw).map(|networks| settings.http.deny = networks),
    },
    Key {
        section: "http",
        name: "trusted_proxies",
        default: "[]",
        help: "proxies whose X-Forwarded-For is believed",
        set: |settings, raw| networks(raw).map(|networks| settings.http.trusted_proxies = networks),
    },
    Key {
        section: "http",
        name: "rate_limit",
        default: "\"60000/min\"",
        help: "most requests of one key and of one address, such as \"600/min\"; \"\" sets no limit",
        set: |settings, raw| rate(raw).map(|rate| settings.http.rate_limit = rate),
    },
    Key {
        section: "http",
        name: "ollama_port",
        default: "false",
        help: "listen on 127.0.0.1:11434 as well, where clients of Ollama look, if it is free",
        set: |settings, raw| switch(raw).map(|on| settings.http.ollama_port = on),
    },
    Key {
        section: "downloads",
        name: "hub",
        default: "\"\"",
        help: "where models are fetched from; \"\" takes HF_ENDPOINT, then the Hugging Face hub",
        set: |settings, raw| hub(raw).map(|hub| settings.downloads.hub = hub),
    },
    Key {
        section: "downloads",
        name: "offline",
        default: "false",
        help: "ask nothing of the network: only what is installed or in the hub's cache can be used",
        set: |settings, raw| switch(raw).map(|on| settings.downloads.offline = on),
    },
    Key {
        section: "downloads",
        name: "connections",
        default: "8",
        help: "connections to the hub at once",
        set: |settings, raw| whole(raw, 1, 64).map(|n| settings.downloads.connections = n as usize),
    },
    Key {
        section: "downloads",
        name: "bandwidth",
        default: "\"0\"",
        help: "most bytes per second, all downloads together, such as \"5MB\"; 0 sets no limit",
        set: |settings, raw| {
            bytes(raw, 1024, true).map(|n| settings.downloads.bandwidth = (n > 0).then_some(n))
        },
    },
    Key {
        section: "downloads",
        name: "allow_private_addresses",
        default: "false",
        help: "the hub may be on this machine or in a private network",
        set: |settings, raw| switch(raw).map(|on| settings.downloads.allow_private_addresses = on),
    },
    Key {
        section: "runtime",
        name: "onnxruntime_library",
        default: "\"\"",
        help: "ONNX Runtime's shared library; \"\" takes ORT_DYLIB_PATH, then the one beside the program, \
               then the system's",
        set: |settings, raw| path(raw).map(|path| settings.runtime.onnxruntime_library = path),
    },
    Key {
        section: "runtime",
        name: "threads",
        default: "0",
        help: "threads of one model; 0 takes one per physical core",
        set: |settings, raw| {
            whole(raw, 0, 1024).map(|n| settings.runtime.threads = (n > 0).then_some(n as usize))
        },
    },
    Key {
        section: "runtime",
        name: "allow_spinning",
        default: "false",
        help: "let idle threads of a model spin: a little faster alone, much slower on a busy machine",
        set: |settings, raw| switch(raw).map(|on| settings.runtime.allow_spinning = on),
    },
    Key {
        section: "runtime",
        name: "context_length",
        default: "0",
        help: "most tokens of one conversation; 0 takes what the model declares, at most 8192",
        set: |settings, raw| {
            let number = whole(raw, 0, 10_000_000)?;
            settings.runtime.context_length = if number == 0 { USUAL_CONTEXT } else { number };
            Ok(())
        },
    },
    Key {
        section: "runtime",
        name: "parallel_requests",
        default: "8",
        help: "requests one model answers together",
        set: |settings, raw| whole(raw, 1, 256).map(|n| settings.runtime.parallel_requests = n as usize),
    },
    Key {
        section: "runtime",
        name: "queue_length",
        default: "2",
        help: "requests a loaded model is given ahead of their turn; the others wait in the daemon, by priority",
        set: |settings, raw| whole(raw, 1, 100_000).map(|n| settings.runtime.queue_length = n as usize),
    },
    Key {
        section: "runtime",
        name: "prompt_chunk",
        default: "256",
        help: "tokens of a prompt computed in one step; smaller steps disturb other requests less",
        set: |settings, raw| whole(raw, 1, 65_536).map(|n| settings.runtime.prompt_chunk = n as usize),
    },
    Key {
        section: "worker",
        name: "address_space_limit",
        default: "\"0\"",
        help: "most address space of one model's process, such as \"16GiB\"; 0 sets no limit",
        set: |settings, raw| {
            bytes(raw, 256 << 20, true).map(|n| settings.worker.address_space = (n > 0).then_some(n))
        },
    },
    Key {
        section: "worker",
        name: "open_files",
        default: "1024",
        help: "most files one model's process may have open",
        set: |settings, raw| whole(raw, 64, 1_048_576).map(|n| settings.worker.open_files = n.into()),
    },
    Key {
        section: "worker",
        name: "load_timeout_seconds",
        default: "300",
        help: "how long a model may take to load",
        set: |settings, raw| whole(raw, 1, 86_400).map(|n| settings.worker.load_timeout = seconds(n)),
    },
    Key {
        section: "worker",
        name: "stop_timeout_seconds",
        default: "5",
        help: "how long a model's process may take to end by itself before it is killed",
        set: |settings, raw| whole(raw, 0, 3600).map(|n| settings.worker.stop_timeout = seconds(n)),
    },
    Key {
        section: "log",
        name: "level",
        default: "\"info\"",
        help: "how much is logged: error, warn, info, debug or trace",
        set: |settings, raw| level(raw).map(|level| settings.log.level = level),
    },
    Key {
        section: "log",
        name: "max_bytes",
        default: "\"10MiB\"",
        help: "a log file is put aside once it is this long",
        set: |settings, raw| bytes(raw, 4096, false).map(|n| settings.log.max_bytes = n),
    },
    Key {
        section: "log",
        name: "max_files",
        default: "5",
        help: "log files kept, the current one included",
        set: |settings, raw| whole(raw, 1, 1000).map(|n| settings.log.max_files = n as usize),
    },
    Key {
        section: "telemetry",
        name: "otlp_endpoint",
        default: "\"\"",
        help: "where an OpenTelemetry collector takes traces of requests; \"\" sends nothing",
        set: |settings, raw| collector(raw).map(|address| settings.telemetry.otlp_endpoint = address),
    },
];

const fn seconds(number: u32) -> Duration {
    Duration::from_secs(number as u64)
}
