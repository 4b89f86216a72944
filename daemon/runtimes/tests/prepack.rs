//! Copies with packed weights say the same as what they were made from, and are never trusted.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use airunner_core::ErrorKind;
use airunner_core::generate::GenerateEvent;
use airunner_core::model::CacheType;
use airunner_kernels::Isa;
use airunner_runtimes::llm::prepack::{UNFINISHED, copies, prepack};
use airunner_runtimes::{Kernels, LoadOptions};
use support::{Answer, ask, greedy, load, options, packages};

const PROMPTS: [&str; 3] = ["the", "a fox jumps over", "once upon a time there was"];

fn with_copies(package: &Path, cache: &Path) -> LoadOptions {
    in_cache(options(package), cache)
}

fn answers(options: &LoadOptions) -> (bool, Vec<Answer>) {
    let model = load(options).unwrap();
    let answers = PROMPTS
        .iter()
        .map(|prompt| ask(&*model, greedy(prompt, Some(24))).unwrap());
    (model.loaded().prepacked, answers.collect())
}

/// With the best kernels of ours, even where ONNX Runtime's are faster.
fn ours(package: &Path) -> LoadOptions {
    LoadOptions {
        kernels: Kernels::Only(Isa::best()),
        ..options(package)
    }
}

/// With ONNX Runtime's kernels.
fn theirs(package: &Path) -> LoadOptions {
    LoadOptions {
        kernels: Kernels::Off,
        ..options(package)
    }
}

fn in_cache(options: LoadOptions, cache: &Path) -> LoadOptions {
    LoadOptions {
        prepacked_directory: Some(cache.to_owned()),
        ..options
    }
}

/// With weights of 8 bits.
fn builtin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../installers/builtin-models/helper/package")
}

/// A package in a place where it can be changed.
fn own_copy(package: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(packages().join(package)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, home.path().join(path.file_name().unwrap())).unwrap();
    }
    home
}

/// Whether its weights have a few bits each.
fn is_quantized(package: &Path) -> bool {
    let graph = ["model.onnx", "onnx/model_q4.onnx", "onnx/model.onnx"];
    let found = graph.iter().find_map(|name| fs::read(package.join(name)).ok());
    found.is_some_and(|graph| {
        let is_in = |wanted: &[u8]| graph.windows(wanted.len()).any(|window| window == wanted);
        is_in(b"MatMulNBits") || is_in(b"DequantizeLinear")
    })
}

/// How likely the first token of an answer was.
fn first_logprob(answer: &Answer) -> f32 {
    let first = answer.events.iter().find_map(|event| match event {
        GenerateEvent::Text(delta) => delta.logprobs.first(),
        GenerateEvent::Queued(_)
        | GenerateEvent::Loading(_)
        | GenerateEvent::Prompt { .. }
        | GenerateEvent::Reasoning(_)
        | GenerateEvent::ToolCall(_)
        | GenerateEvent::Done(_) => None,
    });
    first.unwrap().logprob
}

#[test]
fn keys_and_values_are_kept_as_precisely_as_is_asked() {
    let cache = tempfile::tempdir().unwrap();
    let package = packages().join("llama-gqa-int4");
    prepack(&ours(&package), "m", cache.path()).unwrap();
    let prompt = "once upon a time there was a quick brown fox that jumped ".repeat(6);
    let kept = |cache_type| {
        let options = LoadOptions {
            cache_type,
            ..in_cache(ours(&package), cache.path())
        };
        let model = load(&options).unwrap();
        let answer = ask(&*model, greedy(&prompt, Some(8))).unwrap();
        (model.loaded().cache_type.clone(), first_logprob(&answer))
    };
    let (by_itself, expected) = kept(CacheType::Auto);
    assert_eq!(by_itself, "f16", "as suits weights of 4 bits");
    for (cache_type, most) in [
        (CacheType::F16, 0.0),
        (CacheType::F32, 0.05),
        (CacheType::Q8, 0.2),
    ] {
        let (as_set, logprob) = kept(cache_type);
        assert_eq!(as_set, cache_type.as_str());
        let apart = (logprob - expected).abs();
        assert!(apart <= most, "{as_set}: {apart}");
    }
    let original = load(&options(&package)).unwrap();
    assert_eq!(
        original.loaded().cache_type,
        "f32",
        "ONNX Runtime's, as the package says"
    );
}

#[test]
fn every_package_says_the_same_from_its_copy() {
    let cache = tempfile::tempdir().unwrap();
    let mut found: Vec<PathBuf> = fs::read_dir(packages())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("golden.json").is_file())
        .collect();
    found.push(builtin());
    assert!(found.len() > 1);
    for package in found {
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        let made = prepack(&options(&package), &name, cache.path()).unwrap();
        let again = prepack(&options(&package), &name, cache.path()).unwrap();
        assert_eq!(made, again, "{name}");
        let (packed, from_copy) = answers(&with_copies(&package, cache.path()));
        let (original, expected) = answers(&options(&package));
        assert_eq!((packed, original), (true, false), "{name}");
        for (answer, expected) in from_copy.iter().zip(&expected) {
            if is_quantized(&package) {
                // Products with 8 bits in place of floating point numbers: as likely, as far as
                // both say the same.
                let apart = first_logprob(answer) - first_logprob(expected);
                assert!(apart.abs() < 0.3, "{name}: {apart}");
                continue;
            }
            assert_eq!(answer.tokens, expected.tokens, "{name}");
            assert_eq!(
                answer.done().finish_reason,
                expected.done().finish_reason,
                "{name}"
            );
        }
    }
}

#[test]
fn a_damaged_copy_is_deleted_and_the_model_loads_without_it() {
    let expected = answers(&options(&builtin())).1;
    for (file, content) in [("model.onnx", &b"no graph"[..]), ("model.onnx", b"")] {
        let cache = tempfile::tempdir().unwrap();
        let made = prepack(&options(&builtin()), "m", cache.path()).unwrap();
        assert!(made.join(file).is_file(), "{file}");
        fs::write(made.join(file), content).unwrap();
        let (packed, damaged) = answers(&with_copies(&builtin(), cache.path()));
        assert!(!packed, "{file}");
        assert!(!made.exists(), "{file}");
        assert_eq!(damaged[0].tokens, expected[0].tokens, "{file}");
    }
}

/// Changes the index of the packed weights.
fn edit_index(copy: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    edit_json(&copy.join("weights.json"), edit);
}

/// Changes what a copy says of itself.
fn edit_entry(copy: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    edit_json(&copy.join("entry.json"), edit);
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let mut content = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut content);
    fs::write(path, serde_json::to_vec(&content).unwrap()).unwrap();
}

/// Changes the lowest bit of one byte.
fn flip(copy: &Path, file: &str, place: usize) {
    let path = copy.join(file);
    let mut content = fs::read(&path).unwrap();
    content[place] ^= 1;
    fs::write(path, content).unwrap();
}

/// Something that can happen to a copy.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 14] = [
    ("a bit of the first matrix is flipped", |copy| {
        flip(copy, "weights.pack", 0)
    }),
    ("the packed weights are cut in half", |copy| {
        let path = copy.join("weights.pack");
        let packed = fs::File::options().write(true).open(path).unwrap();
        packed.set_len(packed.metadata().unwrap().len() / 2).unwrap();
    }),
    ("the packed weights are empty", |copy| {
        fs::write(copy.join("weights.pack"), b"").unwrap();
    }),
    ("the packed weights are gone", |copy| {
        fs::remove_file(copy.join("weights.pack")).unwrap();
    }),
    ("the index is no JSON", |copy| {
        fs::write(copy.join("weights.json"), b"{").unwrap();
    }),
    ("the index is gone", |copy| {
        fs::remove_file(copy.join("weights.json")).unwrap();
    }),
    ("the weights are packed in another form", |copy| {
        edit_index(copy, |index| {
            index["layout"] = (index["layout"].as_u64().unwrap() + 1).into();
        });
    }),
    ("a bit of the graph is flipped", |copy| {
        let middle = fs::metadata(copy.join("model.onnx")).unwrap().len() / 2;
        flip(copy, "model.onnx", middle as usize);
    }),
    ("a bit of the weights beside the graph is flipped", |copy| {
        flip(copy, "model.onnx.data", 5);
    }),
    ("a bit of the description is flipped", |copy| {
        // Another digit.
        let text = fs::read_to_string(copy.join("rewritten.json")).unwrap();
        flip(copy, "rewritten.json", text.find("\"size\": ").unwrap() + 8);
    }),
    ("what its files were is gone", |copy| {
        edit_entry(copy, |entry| {
            drop(entry.as_object_mut().unwrap().remove("sealed"))
        });
    }),
    ("what its files were names one that is not there", |copy| {
        edit_entry(copy, |entry| {
            entry["sealed"]["other"] = entry["sealed"]["model.onnx"].clone();
        });
    }),
    ("the description is no JSON", |copy| {
        fs::write(copy.join("rewritten.json"), b"[").unwrap();
    }),
    ("the description is gone", |copy| {
        fs::remove_file(copy.join("rewritten.json")).unwrap();
    }),
];

#[test]
fn a_damaged_rewritten_copy_is_deleted_and_the_model_loads_without_it() {
    let package = packages().join("llama-gqa-int4");
    let expected = answers(&options(&package)).1;
    let cache = tempfile::tempdir().unwrap();
    for (what, damage) in DAMAGES {
        let made = prepack(&ours(&package), "m", cache.path()).unwrap();
        let whole = in_cache(ours(&package), cache.path());
        assert!(answers(&whole).0, "before {what}");
        damage(&made);
        let (packed, answered) = answers(&whole);
        assert!(!packed, "{what}");
        assert!(!made.exists(), "{what}");
        for (answer, expected) in answered.iter().zip(&expected) {
            assert_eq!(answer.tokens, expected.tokens, "{what}");
        }
    }
}

#[test]
fn flipped_bits_in_a_copy_with_onnx_runtimes_packing_are_found() {
    let package = packages().join("llama-gqa-int4");
    let cache = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "model.onnx.data"] {
        let made = prepack(&theirs(&package), "m", cache.path()).unwrap();
        let Ok(metadata) = fs::metadata(made.join(file)) else {
            // All of it is so small that it lies in the graph.
            continue;
        };
        assert!(answers(&in_cache(theirs(&package), cache.path())).0, "{file}");
        flip(&made, file, metadata.len() as usize / 3);
        assert!(!answers(&in_cache(theirs(&package), cache.path())).0, "{file}");
        assert!(!made.exists(), "{file}");
    }
}

#[test]
fn all_instructions_answer_alike_from_one_copy() {
    for name in ["llama-gqa-int4", "llama-gqa-qdq4", "qwen2-gqa"] {
        let (cache, package) = (tempfile::tempdir().unwrap(), packages().join(name));
        let made = prepack(&ours(&package), "m", cache.path()).unwrap();
        let (packed, expected) = answers(&in_cache(ours(&package), cache.path()));
        assert!(packed, "{name}");
        for isa in Isa::available() {
            let only = LoadOptions {
                kernels: Kernels::Only(isa),
                ..ours(&package)
            };
            assert_eq!(prepack(&only, "m", cache.path()).unwrap(), made, "{name} {isa}");
            let (packed, answered) = answers(&in_cache(only, cache.path()));
            assert!(packed, "{name} {isa}");
            for (answer, expected) in answered.iter().zip(&expected) {
                let apart = first_logprob(answer) - first_logprob(expected);
                assert!(apart.abs() < 0.02, "{name} {isa}: {apart}");
            }
        }
    }
}

#[test]
fn kernels_of_onnx_runtime_have_copies_of_their_own() {
    for name in ["llama-gqa-int4", "qwen2-gqa"] {
        let (cache, package) = (tempfile::tempdir().unwrap(), packages().join(name));
        let rewritten = prepack(&ours(&package), "m", cache.path()).unwrap();
        assert!(rewritten.join("rewritten.json").is_file(), "{name}");
        let with_theirs = in_cache(theirs(&package), cache.path());
        assert!(!answers(&with_theirs).0, "{name}");

        let packed = prepack(&theirs(&package), "m", cache.path()).unwrap();
        assert_ne!(packed, rewritten, "{name}");
        // One copy of a model is kept.
        assert!(!rewritten.exists(), "{name}");
        for file in ["rewritten.json", "weights.json", "weights.pack"] {
            assert!(!packed.join(file).exists(), "{name}: {file}");
        }
        let (from_copy, answered) = answers(&with_theirs);
        let (_, expected) = answers(&theirs(&package));
        assert!(from_copy, "{name}");
        for (answer, expected) in answered.iter().zip(&expected) {
            assert_eq!(answer.tokens, expected.tokens, "{name}");
        }
        assert!(!answers(&in_cache(ours(&package), cache.path())).0, "{name}");
    }
}

#[test]
fn a_copy_that_many_make_at_once_is_whole() {
    const MAKERS: usize = 4;
    let (cache, package) = (tempfile::tempdir().unwrap(), packages().join("llama-gqa-int4"));
    let begin = std::sync::Barrier::new(MAKERS);
    let make = || {
        begin.wait();
        prepack(&ours(&package), "m", cache.path())
    };
    let made: Vec<PathBuf> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(make)).collect();
        makers
            .into_iter()
            .map(|maker| maker.join().unwrap().unwrap())
            .collect()
    });
    assert!(made.iter().all(|path| *path == made[0]));
    let left: Vec<_> = fs::read_dir(cache.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(left, made[..1]);
    assert!(answers(&in_cache(ours(&package), cache.path())).0);
}

/// Where a process that a test starts makes a copy.
const CACHE: &str = "AIRUNNER_TEST_CACHE";

#[test]
#[ignore = "a process of the test below"]
#[expect(clippy::disallowed_methods, reason = "tests have no config module")]
fn a_process_that_makes_a_copy() {
    let cache = PathBuf::from(std::env::var_os(CACHE).unwrap());
    prepack(&ours(&packages().join("llama-gqa-int4")), "m", &cache).unwrap();
}

#[test]
fn a_copy_that_several_processes_make_at_once_is_whole() {
    let (cache, package) = (tempfile::tempdir().unwrap(), packages().join("llama-gqa-int4"));
    let start = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "a_process_that_makes_a_copy"])
            .env(CACHE, cache.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let makers = [start(), start(), start()];
    for mut maker in makers {
        assert!(maker.wait().unwrap().success());
    }
    let left: Vec<_> = fs::read_dir(cache.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let made = prepack(&ours(&package), "m", cache.path()).unwrap();
    assert_eq!(left, [made]);
    assert!(answers(&in_cache(ours(&package), cache.path())).0);
}

#[test]
fn a_context_is_used_to_the_last_token_from_a_copy_too() {
    let (cache, package) = (tempfile::tempdir().unwrap(), packages().join("llama-gqa-int4"));
    prepack(&ours(&package), "m", cache.path()).unwrap();
    // One that ends in the middle of a block, one with it, and one a token later.
    for context in [50, 64, 65] {
        let model = load(&LoadOptions {
            context_length: Some(context),
            ..in_cache(ours(&package), cache.path())
        })
        .unwrap();
        assert!(model.loaded().prepacked);
        let tokens = |words: usize| {
            let answer = ask(&*model, greedy(&"the ".repeat(words), Some(100_000)));
            answer.map(|answer| {
                let usage = answer.done().usage;
                (usage.prompt_tokens, usage.completion_tokens)
            })
        };
        let (shortest, _) = tokens(1).unwrap();
        let (longer, _) = tokens(2).unwrap();
        let each = longer - shortest;
        // The longest prompt that leaves room for a token, and one that fills the context.
        let most = ((context - 1 - shortest) / each + 1) as usize;
        for words in [1, most - 1, most] {
            let (prompt, answer) = tokens(words).unwrap();
            assert!(prompt + answer <= context && answer > 0, "{prompt} {answer}");
        }
        let fault = tokens(most + each.max(1) as usize).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ContextLengthExceeded, "{fault}");
        assert_eq!(tokens(1).unwrap().0, shortest, "and goes on");
    }
}

#[test]
fn a_copy_that_was_half_deleted_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let package = packages().join("llama-gqa");
    let made = prepack(&options(&package), "m", cache.path()).unwrap();
    fs::remove_file(made.join("entry.json")).unwrap();
    assert_eq!(prepack(&options(&package), "m", cache.path()).unwrap(), made);
    assert!(answers(&with_copies(&package, cache.path())).0);
}

#[test]
fn a_copy_fits_only_the_files_it_was_made_from() {
    let (cache, package) = (tempfile::tempdir().unwrap(), own_copy("llama-gqa"));
    let before = prepack(&options(package.path()), "m", cache.path()).unwrap();
    let weights = package.path().join("model.onnx.data");
    let content = fs::read(&weights).unwrap();
    fs::write(&weights, content).unwrap();
    let changed = fs::File::options().append(true).open(&weights).unwrap();
    changed.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert!(!answers(&with_copies(package.path(), cache.path())).0);
    let after = prepack(&options(package.path()), "m", cache.path()).unwrap();
    assert_ne!(before, after);
    // The copy of the earlier state is gone, and nothing unfinished is left.
    let left: Vec<_> = copies(cache.path()).into_iter().map(|copy| copy.path).collect();
    assert_eq!(left, [after]);
    let unfinished = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with(UNFINISHED);
    assert!(!fs::read_dir(cache.path()).unwrap().flatten().any(unfinished));
}

#[test]
fn what_cannot_be_made_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    fs::write(&cache, "a file where a directory should be").unwrap();
    assert!(prepack(&options(&packages().join("llama-gqa")), "m", &cache).is_err());
    assert!(prepack(&options(home.path()), "m", home.path()).is_err());
    assert_eq!(copies(home.path()).len(), 0);
}
