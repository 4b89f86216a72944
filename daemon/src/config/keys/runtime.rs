//! Downloads, what computes, its processes, and what is written down.

use airunner_core::settings::Applies;

use super::{Key, seconds};
use crate::config::settings::USUAL_CONTEXT;
use crate::config::value::{bytes, collector, hub, level, path, switch, whole};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "downloads",
        name: "hub",
        default: "\"\"",
        allowed: "an http or https address, or \"\"",
        applies: Applies::Restart,
        help: "where models are fetched from; \"\" takes HF_ENDPOINT, then the Hugging Face hub",
        set: |settings, raw| hub(raw).map(|hub| settings.downloads.hub = hub),
    },
    Key {
        section: "downloads",
        name: "offline",
        default: "false",
        allowed: "true, false",
        applies: Applies::Restart,
        help: "ask nothing of the network: only what is installed or in the hub's cache can be used",
        set: |settings, raw| switch(raw).map(|on| settings.downloads.offline = on),
    },
    Key {
        section: "downloads",
        name: "connections",
        default: "8",
        allowed: "1 to 64",
        applies: Applies::Restart,
        help: "connections to the hub at once",
        set: |settings, raw| whole(raw, 1, 64).map(|n| settings.downloads.connections = n as usize),
    },
    Key {
        section: "downloads",
        name: "bandwidth",
        default: "\"0\"",
        allowed: "0, or at least \"1KiB\"",
        applies: Applies::Restart,
        help: "most bytes per second, all downloads together, such as \"5MB\"; 0 sets no limit",
        set: |settings, raw| {
            bytes(raw, 1024, true).map(|n| settings.downloads.bandwidth = (n > 0).then_some(n))
        },
    },
    Key {
        section: "downloads",
        name: "allow_private_addresses",
        default: "false",
        allowed: "true, false",
        applies: Applies::Restart,
        help: "the hub may be on this machine or in a private network",
        set: |settings, raw| switch(raw).map(|on| settings.downloads.allow_private_addresses = on),
    },
    Key {
        section: "runtime",
        name: "onnxruntime_library",
        default: "\"\"",
        allowed: "an absolute path, or \"\"",
        applies: Applies::Restart,
        help: "ONNX Runtime's shared library; \"\" takes ORT_DYLIB_PATH, then the one beside the program, \
               then the system's",
        set: |settings, raw| path(raw).map(|path| settings.runtime.onnxruntime_library = path),
    },
    Key {
        section: "runtime",
        name: "threads",
        default: "0",
        allowed: "0 to 1024",
        applies: Applies::Restart,
        help: "threads of one model; 0 takes one per physical core that the program may use (affinity and quotas of control groups count), leaving efficiency cores alone",
        set: |settings, raw| {
            whole(raw, 0, 1024).map(|n| settings.runtime.threads = (n > 0).then_some(n as usize))
        },
    },
    Key {
        section: "runtime",
        name: "allow_spinning",
        default: "false",
        allowed: "true, false",
        applies: Applies::NextLoad,
        help: "let idle threads of ONNX Runtime spin: a little faster alone, much slower on a busy machine; the threads of own kernels decide by themselves",
        set: |settings, raw| switch(raw).map(|on| settings.runtime.allow_spinning = on),
    },
    Key {
        section: "runtime",
        name: "context_length",
        default: "0",
        allowed: "0 to 10000000",
        applies: Applies::Restart,
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
        allowed: "1 to 256",
        applies: Applies::Restart,
        help: "requests one model answers together",
        set: |settings, raw| whole(raw, 1, 256).map(|n| settings.runtime.parallel_requests = n as usize),
    },
    Key {
        section: "runtime",
        name: "queue_length",
        default: "2",
        allowed: "1 to 100000",
        applies: Applies::Restart,
        help: "requests a loaded model is given ahead of their turn; the others wait in the daemon, by priority",
        set: |settings, raw| whole(raw, 1, 100_000).map(|n| settings.runtime.queue_length = n as usize),
    },
    Key {
        section: "runtime",
        name: "prompt_chunk",
        default: "256",
        allowed: "1 to 65536",
        applies: Applies::Restart,
        help: "tokens of a prompt computed in one step; smaller steps disturb other requests less",
        set: |settings, raw| whole(raw, 1, 65_536).map(|n| settings.runtime.prompt_chunk = n as usize),
    },
    Key {
        section: "worker",
        name: "address_space_limit",
        default: "\"0\"",
        allowed: "0, or at least \"256MiB\"",
        applies: Applies::NextLoad,
        help: "most address space of one model's process, such as \"16GiB\"; 0 sets no limit",
        set: |settings, raw| {
            bytes(raw, 256 << 20, true).map(|n| settings.worker.address_space = (n > 0).then_some(n))
        },
    },
    Key {
        section: "worker",
        name: "open_files",
        default: "1024",
        allowed: "64 to 1048576",
        applies: Applies::NextLoad,
        help: "most files one model's process may have open",
        set: |settings, raw| whole(raw, 64, 1_048_576).map(|n| settings.worker.open_files = n.into()),
    },
    Key {
        section: "worker",
        name: "load_timeout_seconds",
        default: "300",
        allowed: "1 to 86400",
        applies: Applies::NextLoad,
        help: "how long a model may take to load",
        set: |settings, raw| whole(raw, 1, 86_400).map(|n| settings.worker.load_timeout = seconds(n)),
    },
    Key {
        section: "worker",
        name: "stop_timeout_seconds",
        default: "5",
        allowed: "0 to 3600",
        applies: Applies::Restart,
        help: "how long a model's process may take to end by itself before it is killed",
        set: |settings, raw| whole(raw, 0, 3600).map(|n| settings.worker.stop_timeout = seconds(n)),
    },
    Key {
        section: "log",
        name: "level",
        default: "\"info\"",
        allowed: "\"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        applies: Applies::Restart,
        help: "how much is logged: error, warn, info, debug or trace",
        set: |settings, raw| level(raw).map(|level| settings.log.level = level),
    },
    Key {
        section: "log",
        name: "max_bytes",
        default: "\"10MiB\"",
        allowed: "at least 4096",
        applies: Applies::Restart,
        help: "a log file is put aside once it is this long",
        set: |settings, raw| bytes(raw, 4096, false).map(|n| settings.log.max_bytes = n),
    },
    Key {
        section: "log",
        name: "max_files",
        default: "5",
        allowed: "1 to 1000",
        applies: Applies::Restart,
        help: "log files kept, the current one included",
        set: |settings, raw| whole(raw, 1, 1000).map(|n| settings.log.max_files = n as usize),
    },
    Key {
        section: "telemetry",
        name: "otlp_endpoint",
        default: "\"\"",
        allowed: "\"\", or an address with https, or with http of this machine",
        applies: Applies::Restart,
        help: "where an OpenTelemetry collector takes traces of requests; \"\" sends nothing",
        set: |settings, raw| collector(raw).map(|address| settings.telemetry.otlp_endpoint = address),
    },
];
