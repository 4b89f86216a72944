use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use airunner_core::ModelName;
use airunner_core::catalog::{CatalogEntry, Modality, normalized};
use airunner_core::error;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::StateName;
use airunner_core::memory::{Ceiling, Quantization};
use airunner_core::model::{Model, ModelKind, Source};

use super::read::{Listing, Reading, read};
use super::{Catalog, FILE_NAME};

const CONTEXT: u32 = 8192;

fn reading(text: &str) -> Listing {
    let reading = Reading {
        path: Path::new("models.toml"),
        from_user: true,
        context: CONTEXT,
    };
    read(text, reading)
}

/// One good entry, with something more in it.
fn entry(name: &str, more: &str) -> String {
    format!(
        "[[models]]\nname = \"{name}\"\nmodality = \"chat\"\nrepository = \"owner/{name}\"\nparameters = 1.5\n\
         context = 4096\ncache_values = 1000\n\
         variants = [{{ level = \"4bit\", files = [\"onnx/model_q4.onnx\"] }}]\n{more}\n"
    )
}

fn file(entries: &[String]) -> String {
    format!("version = 1\n{}", entries.concat())
}

fn problems(listing: &Listing) -> Vec<String> {
    listing
        .problems
        .iter()
        .map(|problem| error::chain(problem))
        .collect()
}

fn names(entries: &[CatalogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

fn installed(name: &str, source: Source) -> Model {
    Model {
        name: ModelName::new(name).unwrap(),
        kind: ModelKind::Llm,
        state: StateName::Unloaded,
        size_bytes: 1,
        source,
        instance: None,
        last_unload_reason: None,
        waiting_requests: 0,
    }
}

async fn builtin() -> Vec<CatalogEntry> {
    let catalog = Catalog::new("/nonexistent/models.toml".into(), CONTEXT);
    catalog.list(String::new(), Vec::new(), Vec::new()).await.unwrap()
}

#[tokio::test]
async fn the_list_that_ships_is_sound_and_has_something_of_everything() {
    let reading = Reading {
        path: Path::new("catalog.toml"),
        from_user: false,
        context: CONTEXT,
    };
    let listing = read(include_str!("catalog.toml"), reading);
    assert_eq!(problems(&listing), Vec::<String>::new());
    let entries = builtin().await;
    assert_eq!(entries, listing.entries);
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for entry in &entries {
        assert!(!entry.verified, "{}: nobody has verified it", entry.name);
        assert!(!entry.from_user && !entry.description.is_empty() && !entry.license.is_empty());
        assert_eq!(
            entry.context_length == 0,
            matches!(
                entry.modality,
                Modality::Image | Modality::SpeechToText | Modality::TextToSpeech
            ),
            "{}",
            entry.name
        );
        assert!(
            entry.runnable <= (entry.modality == Modality::Chat),
            "{}",
            entry.name
        );
        for variant in &entry.variants {
            assert!(variant.memory_bytes > variant.size_bytes && variant.size_bytes > 1 << 20);
        }
        let known = [entry.name.as_str(), &entry.repository];
        let aliases = entry.aliases.iter().map(String::as_str);
        let spellings: BTreeSet<String> = known.into_iter().chain(aliases).map(normalized).collect();
        for spelling in spellings {
            let other = owners.insert(spelling.clone(), entry.name.to_string());
            assert_eq!(other, None, "{spelling} is also {}", entry.name);
        }
    }
    let modalities: BTreeSet<Modality> = entries.iter().map(|entry| entry.modality).collect();
    assert_eq!(modalities.len(), Modality::ALL.len());
}

#[tokio::test]
async fn names_of_earlier_programs_are_understood() {
    let catalog = Catalog::new("/nonexistent/models.toml".into(), CONTEXT);
    for (name, expected) in [
        ("Llama 3.2 3B", "llama-3.2-3b"),
        ("Stable Diffusion XL 1.0", "stable-diffusion-xl-1.0"),
        ("Stable Diffusion 1.5", "stable-diffusion-1.5"),
        ("Whisper Large V3", "whisper-large-v3"),
        ("qwen2.5:0.5b", "qwen2.5-0.5b"),
        ("onnx-community/Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b"),
    ] {
        let found = catalog.find(name).await.unwrap();
        assert_eq!(found.unwrap().name.as_str(), expected);
    }
    assert_eq!(catalog.find("no such model").await.unwrap(), None);
    assert_eq!(catalog.find("").await.unwrap(), None);
}

#[test]
fn an_entry_says_what_it_says_and_the_rest_is_computed() {
    let listing = reading(&file(&[entry(
        "mine",
        "license = \"MIT\"\naliases = [\"My Own\"]",
    )]));
    assert_eq!(problems(&listing), Vec::<String>::new());
    let mine = &listing.entries[0];
    assert!(mine.from_user && mine.runnable && !mine.verified);
    assert_eq!((mine.revision.as_str(), mine.context_length), ("main", 4096));
    let variant = &mine.variants[0];
    assert_eq!(
        (variant.level, variant.size_bytes),
        (Quantization::Int4, 937_500_000)
    );
    let cache = 4096 * 1000 * 4;
    assert_eq!(
        variant.memory_bytes,
        937_500_000 / 100 * 110 + cache + (200 << 20)
    );
    assert_eq!(mine.recommended_memory_bytes, variant.memory_bytes / 100 * 150);
    assert!(mine.answers_to("my-own"));
    assert_eq!(reading("version = 1").entries, []);
}

#[test]
fn the_example_of_the_documentation_is_one() {
    let page = include_str!("../../../docs/configuration.md");
    let mut blocks = page
        .split("```toml\n")
        .filter_map(|block| block.split("```").next());
    let example = blocks.find(|block| block.contains("[[models]]")).unwrap();
    let listing = reading(example);
    assert_eq!(problems(&listing), Vec::<String>::new());
    assert_eq!(names(&listing.entries), ["helper"]);
}

#[test]
fn a_bad_entry_is_named_by_its_line_and_the_others_are_used() {
    for (more, expected) in [
        (
            "contexts = 1",
            "line 11: the entry \"bad\" is left out: unknown field `contexts`",
        ),
        (
            "license = 3",
            "line 11: the entry \"bad\" is left out: invalid type",
        ),
        (
            "aliases = [\"--\"]",
            "line 11: the entry \"bad\" is left out: aliases hold \"--\"",
        ),
        (
            "revision = \"\"",
            "line 11: the entry \"bad\" is left out: revision is empty",
        ),
        (
            "memory = \"much\"",
            "line 11: the entry \"bad\" is left out: memory is \"much\"",
        ),
        (
            "description = \"\\u001b[2J\"",
            "description holds control characters",
        ),
    ] {
        let text = format!("\n{}", file(&[entry("bad", more), entry("good", "")]));
        let listing = reading(&text);
        assert_eq!(names(&listing.entries), ["good"], "{more}");
        let problems = problems(&listing);
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{problems:?}"
        );
        assert!(problems[0].starts_with("models.toml line "), "{problems:?}");
    }
    for (from, to, expected) in [
        (
            "\"chat\"",
            "\"chatter\"",
            "line 4: the entry \"bad\" is left out: modality is \"chatter\"; it must be",
        ),
        (
            "name = \"bad\"",
            "name = \"../bad\"",
            "line 3: the entry \"../bad\" is left out: name is wrong",
        ),
        (
            "name = \"bad\"",
            "",
            "the entry \"without name\" is left out: missing field `name`",
        ),
        (
            "owner/bad",
            "bad",
            "line 5: the entry \"bad\" is left out: repository is \"bad\"; it must be owner/name",
        ),
        (
            "1.5",
            "0.0",
            "line 6: the entry \"bad\" is left out: parameters is 0",
        ),
        ("1.5", "nan", "parameters is NaN"),
        (
            "4096",
            "-1",
            "line 7: the entry \"bad\" is left out: invalid value",
        ),
        (
            "4bit",
            "3bit",
            "line 9: the entry \"bad\" is left out: variants have the level \"3bit\"",
        ),
        (
            "onnx/model_q4.onnx",
            "../../etc/passwd",
            "which is no path inside a repository",
        ),
        (
            "onnx/model_q4.onnx",
            "C:/model.onnx",
            "which is no path inside a repository",
        ),
        (
            "[\"onnx/model_q4.onnx\"]",
            "[]",
            "variants have one without files",
        ),
        ("\"good\"", "\"BAD\"", "another entry above has this name"),
    ] {
        let text = file(&[entry("bad", ""), entry("good", "")]).replace(from, to);
        let problems = problems(&reading(&text));
        let named = problems.iter().any(|problem| problem.contains(expected));
        assert!(named, "{from} -> {to}: {problems:?}");
    }
}

#[test]
fn a_file_of_another_format_is_left_out() {
    for (text, expected) in [
        ("version = 1\n[[models]\n", "models.toml line 2: this is not TOML"),
        ("", "line 1: the format of this file is told by `version = 1`"),
        (
            "\nversion = 2\n",
            "line 2: the format of this file is told by `version = 1`",
        ),
        (
            "version = 1\n\n[model]\n",
            "line 3: there is no key \"model\"; models are in [[models]]",
        ),
        (
            "version = 1\n[models]\nname = \"x\"",
            "line 2: every model begins with [[models]]",
        ),
        (
            "version = 1\nmodels = 3",
            "line 2: every model begins with [[models]]",
        ),
    ] {
        let listing = reading(text);
        assert!(listing.entries.is_empty());
        let problems = problems(&listing);
        assert!(problems[0].contains(expected), "{text:?}: {problems:?}");
    }
    let many: Vec<String> = (0..2001).map(|number| entry(&format!("m{number}"), "")).collect();
    let listing = reading(&file(&many));
    assert!(problems(&listing)[0].contains("more than 2000 models"));
}

#[tokio::test]
async fn the_user_s_list_hides_the_program_s_and_is_read_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let catalog = Catalog::new(path.clone(), CONTEXT);
    let shipped = catalog.find("qwen2.5-0.5b").await.unwrap().unwrap();
    assert!(!shipped.from_user);

    fs::write(&path, file(&[entry("Qwen2.5-0.5B", ""), entry("mine", "")])).unwrap();
    let own = catalog.find("qwen2.5-0.5b").await.unwrap().unwrap();
    assert_eq!(
        (own.from_user, own.repository.as_str()),
        (true, "owner/Qwen2.5-0.5B")
    );
    let all = catalog.list(String::new(), Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(names(&all)[..2], ["Qwen2.5-0.5B", "mine"]);
    assert_eq!(all.len(), builtin().await.len() + 1);

    fs::write(&path, "version = 1\n[[models\n").unwrap();
    assert_eq!(catalog.find("qwen2.5-0.5b").await.unwrap(), Some(shipped.clone()));
    fs::write(&path, file(&[entry("other", &"#".repeat(1 << 20))])).unwrap();
    assert_eq!(catalog.find("other").await.unwrap(), None, "too long");
    fs::write(&path, file(&[entry("other", "")])).unwrap();
    assert!(catalog.find("other").await.unwrap().is_some());
    fs::remove_file(&path).unwrap();
    assert_eq!(catalog.find("other").await.unwrap(), None);
    fs::create_dir(&path).unwrap();
    assert_eq!(catalog.find("qwen2.5-0.5b").await.unwrap(), Some(shipped));
}

#[tokio::test]
async fn what_is_installed_and_what_fits_is_told() {
    let catalog = Catalog::new("/nonexistent/models.toml".into(), CONTEXT);
    let models = vec![
        installed(
            "small",
            Source::Hub("onnx-community/qwen2.5-0.5b-instruct@abc".to_owned()),
        ),
        installed(
            "onnx-community/Qwen3-0.6B-ONNX",
            Source::Import("somewhere".to_owned()),
        ),
    ];
    let ceilings = vec![Ceiling {
        device: Device::Cpu,
        compute_capability: None,
        bytes: 1_500 << 20,
    }];
    let found = catalog
        .list("QWEN chat".to_owned(), models, ceilings)
        .await
        .unwrap();
    let of = |name: &str| found.iter().find(|entry| entry.name.as_str() == name).unwrap();
    let name = |entry: &CatalogEntry| entry.installed.as_ref().map(ToString::to_string);
    assert_eq!(name(of("qwen2.5-0.5b")).as_deref(), Some("small"));
    assert_eq!(
        name(of("qwen3-0.6b")).as_deref(),
        Some("onnx-community/Qwen3-0.6B-ONNX")
    );
    assert_eq!(name(of("qwen3-1.7b")), None);
    assert_eq!(of("qwen2.5-0.5b").fits, Some(Quantization::Int4));
    assert_eq!(of("qwen3-8b").fits, None);
    assert!(of("qwen2.5-0.5b").variants.iter().any(|variant| !variant.fits));
    assert!(found.iter().all(|entry| entry.modality == Modality::Chat));
}
