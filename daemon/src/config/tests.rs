use std::path::Path;
use std::time::Duration;

use airunner_core::memory::Budget;
use airunner_core::{KeepAlive, ModelName};

use super::*;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let directory = with_file(text);
    Settings::read(&directory.path().join("config.toml"), &environment(variables))
}

fn with_file(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), text).unwrap();
    directory
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::of(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    let missing = Settings::read(Path::new("/nonexistent/config.toml"), &Environment::default()).unwrap();
    assert_eq!(missing, Settings::default());
    assert_eq!(read("", &[]).unwrap(), Settings::default());
}

#[test]
fn the_file_is_kept_and_the_environment_overrides_it() {
    let file = "
        # People comment their files.
        [models]
        keep_alive = -1
        [worker]
        address_space_limit = \"2GiB\"
        load_timeout_seconds = 7
        [log]
        level = \"debug\"
    ";
    let settings = read(file, &[("AIRUNNER_WORKER_LOAD_TIMEOUT_SECONDS", "9")]).unwrap();
    assert_eq!(settings.models.keep_alive, KeepAlive::Forever);
    assert_eq!(settings.worker.address_space, Some(2 << 30));
    assert_eq!(settings.worker.load_timeout, Duration::from_secs(9));
    assert_eq!(settings.log.level, LogLevel::Debug);
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_key() {
    for (text, expected) in [
        ("[models\nkeep_alive = 1", "config.toml line 1: this is not TOML"),
        (
            "[models]\nkeep_alive = \n",
            "config.toml line 2: this is not TOML",
        ),
        (
            "\n[modells]\n",
            "line 2: there is no section [modells]; sections are daemon, models, memory, http, downloads",
        ),
        ("grace_seconds = 1", "line 1: there is no section [grace_seconds]"),
        (
            "[daemon]\n\ngrace = 1",
            "line 3: there is no key \"grace\" in [daemon]; its keys are grace_seconds, reader_timeout_seconds",
        ),
        (
            "[daemon]\ngrace_seconds = -1",
            "line 2: daemon.grace_seconds is -1: it must be a whole number from 0",
        ),
        (
            "[daemon]\ngrace_seconds = \"10\"",
            "line 2: daemon.grace_seconds is \"10\"",
        ),
        ("[daemon]\ngrace_seconds = 1.5", "daemon.grace_seconds is 1.5"),
        ("[daemon.grace_seconds]\nx = 1", "daemon.grace_seconds is a table"),
        (
            "[models]\nkeep_alive = \"soon\"",
            "models.keep_alive is \"soon\": it must be a time such as \"10m\"",
        ),
        ("[models]\nkeep_alive = true", "models.keep_alive is true"),
        (
            "[models]\nbuiltin_directory = \"x/y\"",
            "it must be an absolute path",
        ),
        (
            "[models]\n\npreload = \"tiny\"",
            "line 3: models.preload is \"tiny\": it must be a list of names of models",
        ),
        (
            "[models]\npriority = [\"tiny\", \"../x\"]",
            "\"../x\" is not a model name",
        ),
        (
            "[models]\nkernels = \"mmx\"",
            "models.kernels is \"mmx\": it must be one of \"auto\", \"off\", \"portable\", \"avx2\"",
        ),
        ("[models]\nkernels = false", "models.kernels is false"),
        (
            "[models]\ncache_type = \"q4\"",
            "models.cache_type is \"q4\": it must be one of \"auto\", \"f32\", \"f16\", \"q8\"",
        ),
        ("[models]\npreload = [1]", "it must be a list of names of models"),
        (
            "[models]\nfair_after_seconds = 3601",
            "it must be a whole number from 1 to 3600",
        ),
        (
            "[memory]\ncpu_budget = \"200%\"",
            "line 2: memory.cpu_budget is \"200%\": it must be a size such as \"2GiB\", or a share",
        ),
        (
            "[memory]\n\ngpu_budget = \"much\"",
            "line 3: memory.gpu_budget is \"much\"",
        ),
        ("[memory]\ngpu_budget = -1", "memory.gpu_budget is -1"),
        ("[memory]\ngpu_budget = 0.5", "memory.gpu_budget is 0.5"),
        (
            "[downloads]\nhub = \"hub.example\"",
            "downloads.hub is \"hub.example\": it must be an address such as",
        ),
        (
            "[downloads]\nhub = \"https://me:secret@hub.example\"",
            "without user, query or fragment",
        ),
        ("[downloads]\nhub = \"file:///etc\"", "it must be an address"),
        (
            "[telemetry]\notlp_endpoint = \"http://collector.example:4318\"",
            "it must be an address such as \"https://collector.example:4318\"",
        ),
        (
            "[telemetry]\notlp_endpoint = \"https://me:secret@collector.example\"",
            "without user, query or fragment",
        ),
        (
            "[downloads]\nconnections = 65",
            "it must be a whole number from 1 to 64",
        ),
        ("[downloads]\nbandwidth = \"12B\"", "at least 1024, or 0 for none"),
        (
            "[runtime]\nallow_spinning = 1",
            "runtime.allow_spinning is 1: it must be true or false",
        ),
        (
            "[runtime]\nparallel_requests = 0",
            "runtime.parallel_requests is 0",
        ),
        (
            "[worker]\naddress_space_limit = \"1MiB\"",
            "at least 268435456, or 0 for none",
        ),
        (
            "[worker]\naddress_space_limit = \"99999999999TiB\"",
            "a number of bytes",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "log.level is \"loud\": it must be \"error\", \"warn\"",
        ),
        ("[log]\nmax_files = 0", "log.max_files is 0"),
        ("[http]\nallowed_origins = [\"*\"]", "cannot be allowed"),
        ("[http]\nrate_limit = \"0/s\"", "or \"\" for no limit"),
        ("[http]\ndeny = [\"10.0.0.0/33\"]", "a list of networks"),
    ] {
        let error = airunner_core::Fault::from(read(text, &[]).unwrap_err());
        assert!(
            error.message.contains(expected),
            "{text:?} gave {:?}",
            error.message
        );
        assert!(error.message.contains("config.toml"), "{}", error.message);
    }
}

#[test]
fn traces_go_nowhere_or_to_a_collector() {
    let read = |written: &str| {
        let file = format!("[telemetry]\notlp_endpoint = \"{written}\"");
        read(&file, &[]).map(|settings| settings.telemetry.otlp_endpoint)
    };
    assert_eq!(Settings::default().telemetry.otlp_endpoint, None);
    assert_eq!(read("").unwrap(), None);
    for (written, meant) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
        (
            "http://localhost:4318/v1/traces",
            "http://localhost:4318/v1/traces",
        ),
        (
            "https://collector.example/otlp",
            "https://collector.example/otlp/v1/traces",
        ),
    ] {
        assert_eq!(read(written).unwrap().as_deref(), Some(meant));
    }
    for refused in [
        "http://192.0.2.1:4318",
        "http://localhost.example",
        "grpc://127.0.0.1",
        "4318",
    ] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn budgets_lists_and_limits_mean_what_they_say() {
    let file = "
        [models]
        preload = [\"tiny\", \"owner/name\", \"tiny\"]
        prepacked_cache = \"0\"
        kernels = \"neon-dot\"
        cache_type = \"q8\"
        cache_on_disk = \"2GiB\"
        [memory]
        cpu_budget = \"2GiB\"
        gpu_budget = 0
        [downloads]
        hub = \"http://localhost:8080/\"
        bandwidth = \"5MB\"
    ";
    let settings = read(file, &[("AIRUNNER_MODELS_PRIORITY", "one, two/three")]).unwrap();
    let names = |names: &[ModelName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&settings.models.preload), ["tiny", "owner/name"]);
    assert_eq!(names(&settings.models.priority), ["one", "two/three"]);
    assert_eq!(settings.models.prepacked_cache, None);
    assert_eq!(settings.models.kernels.to_string(), "neon-dot");
    assert_eq!(settings.models.cache_type.as_str(), "q8");
    assert_eq!(settings.models.cache_on_disk, Some(2 << 30));
    assert_eq!(settings.memory.cpu_budget, Budget::Bytes(2 << 30));
    assert_eq!(settings.memory.gpu_budget, Budget::Bytes(0));
    assert_eq!(settings.downloads.hub.as_deref(), Some("http://localhost:8080"));
    assert_eq!(settings.downloads.bandwidth, Some(5_000_000));
    let none = read(file, &[("AIRUNNER_MODELS_PRELOAD", "[]")]).unwrap();
    assert!(none.models.preload.is_empty());
    let none = read("", &[]).unwrap();
    assert_eq!(none.models.cache_on_disk, None, "by itself nothing is kept");
}

#[test]
fn what_was_set_up_for_the_hub_s_own_tools_is_found() {
    let root = if cfg!(windows) { "C:\\" } else { "/" };
    let path = |text: &str| Path::new(root).join(text);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let user = environment(&[("HOME", &text("me"))]).hub();
    assert_eq!(user.cache, Some(path("me/.cache/huggingface/hub")));
    assert_eq!(user.token_file, Some(path("me/.cache/huggingface/token")));
    assert_eq!(user.endpoint().unwrap(), None);
    assert!(user.token.is_none() && !user.offline);
    let all = environment(&[
        ("HOME", &text("me")),
        ("HF_HOME", &text("hf")),
        ("HF_ENDPOINT", "https://hub.example/"),
        ("HF_TOKEN", "hf_secret"),
        ("HF_HUB_OFFLINE", "1"),
    ]);
    assert_eq!(all.hub().cache, Some(path("hf/hub")));
    assert_eq!(
        all.hub().endpoint().unwrap().as_deref(),
        Some("https://hub.example")
    );
    assert!(all.hub().offline);
    assert_eq!(all.hub().token.as_deref(), Some("hf_secret"));
    let shown = format!("{all:?} {:?}", all.hub());
    assert!(!shown.contains("hf_secret"), "{shown}");
    assert_eq!(all.unknown(), Vec::<&str>::new());
}

#[test]
fn a_hub_that_is_no_address_is_not_taken_for_the_usual_one() {
    for text in ["hub.corp", "ftp://hub.corp", "https://me:secret@hub.corp"] {
        let hub = environment(&[("HF_ENDPOINT", text)]).hub();
        let fault = airunner_core::Fault::from(hub.endpoint().unwrap_err());
        assert_eq!(fault.kind, airunner_core::ErrorKind::InvalidConfig);
        assert!(fault.message.contains("HF_ENDPOINT"), "{fault}");
        assert!(!format!("{fault} {hub:?}").contains("secret"), "{fault}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let error = read("", &[("AIRUNNER_LOG_LEVEL", "loud")])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("environment: AIRUNNER_LOG_LEVEL is loud: it must be"),
        "{error}"
    );
}

/// Every key: its default is what the program does, it can be overridden, and it is explained.
#[test]
fn every_key_has_a_true_default_and_an_override() {
    for key in keys() {
        let file = format!("[{}]\n{} = {}\n", key.section, key.name, key.default);
        assert_eq!(
            read(&file, &[]).unwrap(),
            Settings::default(),
            "{}",
            key.variable()
        );
        let default = key.default.trim_matches('"');
        if !default.is_empty() {
            let same = read("", &[(&key.variable(), default)]).unwrap();
            assert_eq!(same, Settings::default(), "{}", key.variable());
        }
        let absolute = std::path::absolute("/x").unwrap();
        let other = [
            "3h",
            "7",
            "777",
            "true",
            "false",
            "1GiB",
            "debug",
            "https://hub.example",
            "127.0.0.1:7",
            "loopback-open",
            "self-signed",
            "10.0.0.0/8",
            "5/s",
            "portable",
            "q8",
            "model_loaded",
            "22:00-07:00",
            absolute.to_str().unwrap(),
        ]
        .into_iter()
        .find_map(|value| {
            read("", &[(&key.variable(), value)])
                .ok()
                .filter(|new| *new != Settings::default())
        });
        assert!(other.is_some(), "{} changes nothing", key.variable());
        assert!(
            key.help.len() > 10 && !key.help.contains('\n'),
            "{}",
            key.variable()
        );
    }
}

#[test]
fn a_wrong_value_of_every_key_is_told_with_file_line_and_key() {
    for key in keys() {
        let (section, name) = (key.section, key.name);
        let fault = read(&format!("# mine\n[{section}]\n\n{name} = {{}}\n"), &[]).unwrap_err();
        let expected = format!("config.toml line 4: {section}.{name} is {{}}: it must be ");
        let message = airunner_core::Fault::from(fault).message;
        let (_, allowed) = message
            .split_once(&expected)
            .unwrap_or_else(|| panic!("{message}"));
        assert!(allowed.len() > 5 && key.allowed.len() > 2, "{message}");
    }
}

#[test]
fn misspelt_variables_are_noticed() {
    let environment = environment(&[
        ("AIRUNNER_HOME", "/x"),
        ("AIRUNNER_LOG_LEVEL", "info"),
        ("AIRUNNER_LOG_LEVLE", "info"),
        ("ORT_DYLIB_PATH", "/x/y"),
        ("HOME", "/root"),
    ]);
    assert_eq!(environment.unknown(), ["AIRUNNER_LOG_LEVLE"]);
    assert_eq!(environment.onnxruntime_library().unwrap(), Path::new("/x/y"));
}
