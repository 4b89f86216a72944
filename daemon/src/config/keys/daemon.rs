//! The daemon itself, models and memory.

use airunner_core::settings::Applies;

use super::{Key, seconds};
use crate::config::value::{budget, bytes, cache_type, keep_alive, kernels, models, path, whole};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "daemon",
        name: "grace_seconds",
        default: "10",
        allowed: "0 to 3600",
        applies: Applies::Restart,
        help: "how long running requests may still take when the daemon is asked to end",
        set: |settings, raw| whole(raw, 0, 3600).map(|n| settings.daemon.grace = seconds(n)),
    },
    Key {
        section: "daemon",
        name: "reader_timeout_seconds",
        default: "60",
        allowed: "1 to 60",
        applies: Applies::Restart,
        help: "an answer that its reader does not read for so long is given up",
        set: |settings, raw| whole(raw, 1, 60).map(|n| settings.daemon.reader_timeout = seconds(n)),
    },
    Key {
        section: "models",
        name: "keep_alive",
        default: "\"5m\"",
        allowed: "a time such as \"10m\", 0, or -1",
        applies: Applies::AtOnce,
        help: "how long a model stays loaded after its last request; 0 unloads at once, -1 never",
        set: |settings, raw| keep_alive(raw).map(|time| settings.models.keep_alive = time),
    },
    Key {
        section: "models",
        name: "builtin_directory",
        default: "\"\"",
        allowed: "an absolute path, or \"\"",
        applies: Applies::Restart,
        help: "where the models that ship with the program are; \"\" looks beside the program",
        set: |settings, raw| path(raw).map(|path| settings.models.builtin_directory = path),
    },
    Key {
        section: "models",
        name: "max_waiting",
        default: "512",
        allowed: "1 to 100000",
        applies: Applies::AtOnce,
        help: "requests that may wait altogether",
        set: |settings, raw| whole(raw, 1, 100_000).map(|n| settings.models.max_waiting = n as usize),
    },
    Key {
        section: "models",
        name: "fair_after_seconds",
        default: "30",
        allowed: "1 to 3600",
        applies: Applies::AtOnce,
        help: "a request that has waited so long is served before newer ones, whatever is loaded",
        set: |settings, raw| whole(raw, 1, 3600).map(|n| settings.models.fair_after = seconds(n)),
    },
    Key {
        section: "models",
        name: "preload",
        default: "[]",
        allowed: "names of models",
        applies: Applies::AtOnce,
        help: "models that are loaded when the daemon starts, in this order, as far as they fit",
        set: |settings, raw| models(raw).map(|names| settings.models.preload = names),
    },
    Key {
        section: "models",
        name: "preload_most_used",
        default: "0",
        allowed: "0 to 100",
        applies: Applies::AtOnce,
        help: "how many of the most used models are loaded as well when the daemon starts",
        set: |settings, raw| whole(raw, 0, 100).map(|n| settings.models.preload_most_used = n as usize),
    },
    Key {
        section: "models",
        name: "priority",
        default: "[]",
        allowed: "names of models",
        applies: Applies::AtOnce,
        help: "models that stay loaded before all others when memory is needed, the most important first",
        set: |settings, raw| models(raw).map(|names| settings.models.priority = names),
    },
    Key {
        section: "models",
        name: "prepacked_cache",
        default: "\"16GiB\"",
        allowed: "bytes, or 0",
        applies: Applies::Restart,
        help: "most space for packed weights kept on disk, so that a later load need not pack them; 0 keeps none",
        set: |settings, raw| {
            bytes(raw, 0, true).map(|n| settings.models.prepacked_cache = (n > 0).then_some(n))
        },
    },
    Key {
        section: "models",
        name: "kernels",
        default: "\"auto\"",
        allowed: "\"auto\", \"off\", or one of \"portable\", \"avx2\", \"avx-vnni\", \"avx512-vnni\", \"neon-dot\", \"neon-i8mm\"",
        applies: Applies::NextLoad,
        help: "what computes models: our kernels (auto), ONNX Runtime's (off), or ours with these instructions",
        set: |settings, raw| kernels(raw).map(|kernels| settings.models.kernels = kernels),
    },
    Key {
        section: "models",
        name: "cache_type",
        default: "\"auto\"",
        allowed: "\"auto\", \"f32\", \"f16\", \"q8\"",
        applies: Applies::Restart,
        help: "how models with a faster copy keep what was said: as suits their weights (auto), with 32 or 16 bits, or in \
               half of that again (q8), a little less exactly",
        set: |settings, raw| cache_type(raw).map(|kind| settings.models.cache_type = kind),
    },
    Key {
        section: "models",
        name: "cache_on_disk",
        default: "\"0\"",
        allowed: "bytes, or 0",
        applies: Applies::NextLoad,
        help: "most space for what models computed of conversations, so that one opened again begins to answer sooner; it \
               can tell what was said; 0 keeps none and deletes what there is at once",
        set: |settings, raw| {
            bytes(raw, 0, true).map(|n| settings.models.cache_on_disk = (n > 0).then_some(n))
        },
    },
    Key {
        section: "memory",
        name: "cpu_budget",
        default: "\"80%\"",
        allowed: "a size, or \"0%\" to \"100%\"",
        applies: Applies::AtOnce,
        help: "main memory that models and reservations may have together; 0 lets nothing be loaded there",
        set: |settings, raw| budget(raw).map(|budget| settings.memory.cpu_budget = budget),
    },
    Key {
        section: "memory",
        name: "gpu_budget",
        default: "\"80%\"",
        allowed: "a size, or \"0%\" to \"100%\"",
        applies: Applies::AtOnce,
        help: "memory of each GPU that models and reservations may have together; 0 leaves the GPUs alone",
        set: |settings, raw| budget(raw).map(|budget| settings.memory.gpu_budget = budget),
    },
];
