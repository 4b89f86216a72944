//! Engines that keep what they computed on the disk, and others that begin with it.

use std::path::{Path, PathBuf};

use super::*;
use crate::CacheOnDisk;
use crate::llm::spilled::{Spilled, clear};

const LIMIT: u64 = 1 << 30;

fn start_with(directory: &Path, slots: usize, limit: u64) -> Mixing {
    let (pages, record) = FakePages::new(VOCABULARY);
    let options = CacheOnDisk {
        directory: directory.to_owned(),
        limit,
        model: "tiny".to_owned(),
    };
    let spilled = Spilled::open(&options, [7; 32], FakePages::BLOCK).unwrap();
    let mut cache = Paged::new(pages, slots, CONTEXT, usize::MAX);
    cache.use_disk(spilled);
    let bench = start(ENDLESS, slots, Box::new(cache));
    Mixing { bench, record }
}

/// The blocks that are there, whoever wrote them.
fn blocks(directory: &Path) -> Vec<PathBuf> {
    let inside = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let files = inside(directory).into_iter().flat_map(|part| inside(&part));
    files
        .filter(|file| file.extension().is_some_and(|kind| kind == "kv"))
        .collect()
}

/// Waits until so many blocks are there: they are written beside everything else.
fn until_there(directory: &Path, count: usize) {
    let patience = Instant::now() + Duration::from_secs(300);
    while blocks(directory).len() < count {
        assert!(
            Instant::now() < patience,
            "{} of {count} blocks",
            blocks(directory).len()
        );
        std::thread::yield_now();
    }
}

fn whole_blocks(mixing: &Mixing, asks: &[Ask], answers: &[String]) -> usize {
    let sequences = asks.iter().zip(answers).map(|(ask, answer)| {
        // The last token of an answer was never computed with, and another text may make other tokens.
        let tokens = mixing.bench.tokens(&ask.prompt).len();
        assert!(!answer.is_empty());
        tokens / BLOCK_TOKENS
    });
    sequences.max().unwrap_or(0)
}

#[test]
fn another_engine_goes_on_where_one_ended_and_says_the_same() {
    let home = tempfile::tempdir().unwrap();
    let asks = vec![
        ask(&long("a fox", 40), 50),
        ask(&long("b", 25), 10),
        ask(&long("a fox", 60), 30),
    ];
    let first = start_with(home.path(), 2, LIMIT);
    let answers = texts(&first.ask_all(&asks));
    assert_eq!(answers, expected(&asks));
    until_there(home.path(), whole_blocks(&first, &asks, &answers));
    drop(first);

    let second = start_with(home.path(), 2, LIMIT);
    let again = second.ask_all(&asks);
    assert_eq!(texts(&again), answers);
    let held = cached(&again[0]) as usize;
    assert!(held >= BLOCK_TOKENS, "{held}");
    assert!(second.record().read > 0);
}

#[test]
fn what_is_private_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let engine = start_with(home.path(), 1, LIMIT);
    let private = Ask {
        is_private: true,
        ..ask(&long("secret", 60), 40)
    };
    let open = ask(&long("open", 20), 5);
    let (private, open) = ([private], [open]);
    engine.ask_all(&private);
    let answers = texts(&engine.ask_all(&open));
    until_there(home.path(), whole_blocks(&engine, &open, &answers));
    drop(engine);
    let second = start_with(home.path(), 1, LIMIT);
    assert_eq!(cached(&second.ask_all(&private)[0]), 0);
    assert!(cached(&second.ask_all(&open)[0]) > 0);
}

#[test]
fn what_was_damaged_is_computed_again() {
    let home = tempfile::tempdir().unwrap();
    let asks = [ask(&long("a fox", 40), 20)];
    let first = start_with(home.path(), 1, LIMIT);
    let answers = texts(&first.ask_all(&asks));
    until_there(home.path(), whole_blocks(&first, &asks, &answers));
    drop(first);
    for (number, file) in blocks(home.path()).into_iter().enumerate() {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        if number.is_multiple_of(2) {
            bytes[middle] ^= 4;
        } else {
            bytes.truncate(middle);
        }
        std::fs::write(&file, bytes).unwrap();
    }
    let second = start_with(home.path(), 1, LIMIT);
    let again = second.ask_all(&asks);
    assert_eq!((texts(&again), cached(&again[0])), (answers, 0));
    assert_eq!(second.record().read, 0);
}

#[test]
fn two_engines_share_a_directory_and_keep_to_its_limit() {
    let home = tempfile::tempdir().unwrap();
    let file = 32 * 8 + 84;
    let limit = 12 * file;
    let engines = [
        start_with(home.path(), 2, limit),
        start_with(home.path(), 2, limit),
    ];
    let asks: Vec<Vec<Ask>> = (0..2)
        .map(|engine| {
            let asks = (0..6).map(|number| ask(&long(&format!("{engine} {number} a fox"), 30), 20));
            asks.collect()
        })
        .collect();
    std::thread::scope(|scope| {
        for (engine, asks) in engines.iter().zip(&asks) {
            scope.spawn(|| assert_eq!(texts(&engine.ask_all(asks)), expected(asks)));
        }
    });
    until_there(home.path(), 1);
    drop(engines);
    let sizes = blocks(home.path()).into_iter();
    let all: u64 = sizes.map(|file| file.metadata().unwrap().len()).sum();
    assert!(all > 0 && all <= limit, "{all}");
    assert_eq!(all % file, 0, "whole files only");
}

#[test]
fn a_directory_that_was_cleared_stays_away() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("kept");
    std::fs::create_dir(&directory).unwrap();
    let engine = start_with(&directory, 1, LIMIT);
    let asks = [ask(&long("a fox", 40), 20)];
    let answers = texts(&engine.ask_all(&asks));
    until_there(&directory, 1);
    clear(&directory).unwrap();
    let more = [ask(&long("b", 40), 20)];
    assert_eq!(texts(&engine.ask_all(&more)), expected(&more));
    assert_eq!(texts(&engine.ask_all(&asks)), answers);
    drop(engine);
    assert!(!directory.exists());
}
