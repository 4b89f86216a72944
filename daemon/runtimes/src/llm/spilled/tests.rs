use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const BLOCK: usize = 100;
const FILE: u64 = (BLOCK + file::HEADER_BYTES) as u64;
const PATIENCE: Duration = Duration::from_secs(300);

fn options(directory: &Path, model: &str, limit: u64) -> CacheOnDisk {
    CacheOnDisk {
        directory: directory.to_owned(),
        limit,
        model: model.to_owned(),
    }
}

fn open(directory: &Path, limit: u64) -> Spilled {
    Spilled::open(&options(directory, "tiny", limit), [1; 32], BLOCK).unwrap()
}

/// The keys of a sequence of so many blocks.
fn keys(name: u32, count: u32) -> Vec<Key> {
    let mut key = Key::root(b"");
    let next = |block| {
        key = key.then(&[name, block]);
        key
    };
    (0..count).map(next).collect()
}

fn content(key: &Key) -> Vec<u8> {
    key.bytes().iter().copied().cycle().take(BLOCK).collect()
}

fn fetch(key: &Key, bytes: &mut Vec<u8>) -> bool {
    bytes.extend_from_slice(&content(key));
    true
}

fn write(spilled: &mut Spilled, keys: &[Key]) {
    spilled.keep(keys.iter().copied());
    spilled.settle(PATIENCE, fetch);
}

fn held(spilled: &mut Spilled, keys: &[Key]) -> Vec<bool> {
    let held = |key: &Key| {
        let found = spilled.read(key).map(<[u8]>::to_vec);
        assert!(found.is_none() || found == Some(content(key)));
        found.is_some()
    };
    keys.iter().map(held).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let inside = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let files = inside(directory).into_iter().flat_map(|part| inside(&part));
    files
        .filter(|file| file.extension().is_some_and(|kind| kind == "kv"))
        .collect()
}

#[test]
fn what_one_writes_another_reads_if_it_is_the_same_model() {
    let home = tempfile::tempdir().unwrap();
    let keys = keys(1, 3);
    write(&mut open(home.path(), 1 << 20), &keys);
    assert_eq!(held(&mut open(home.path(), 1 << 20), &keys), [true; 3]);
    let other = |model, identity, block| {
        let mut spilled = Spilled::open(&options(home.path(), model, 1 << 20), identity, block).unwrap();
        spilled.read(&keys[0]).is_some()
    };
    assert!(other("tiny", [1; 32], BLOCK));
    assert!(!other("tiny", [2; 32], BLOCK), "another state");
    let mut near = [1; 32];
    near[31] = 2;
    assert!(
        !other("tiny", near, BLOCK),
        "one whose directory has the same name"
    );
    assert!(!other("tiny", [1; 32], BLOCK), "what was not of it is gone");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    write(&mut open(home.path(), 1 << 20), &keys(1, 1));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = files(home.path()).remove(0);
    assert_eq!(mode(&file), 0o600);
    let part = file.parent().unwrap();
    assert_eq!(mode(part), 0o700);
    assert_eq!(mode(&part.join("entry.json")), 0o600);
}

#[test]
fn what_is_damaged_is_a_miss_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let keys = keys(1, 3);
    write(&mut open(home.path(), 1 << 20), &keys);
    let mut all = files(home.path());
    all.sort();
    let flipped = {
        let mut bytes = fs::read(&all[0]).unwrap();
        bytes[60] ^= 1;
        bytes
    };
    fs::write(&all[0], flipped).unwrap();
    fs::write(&all[1], &fs::read(&all[1]).unwrap()[..FILE as usize - 1]).unwrap();
    let mut spilled = open(home.path(), 1 << 20);
    let found = held(&mut spilled, &keys);
    assert_eq!(found.iter().filter(|found| **found).count(), 1, "{found:?}");
    assert_eq!(files(home.path()), all[2..]);
    write(&mut spilled, &keys);
    assert_eq!(held(&mut spilled, &keys), [true; 3], "they are written again");
}

#[test]
fn the_longest_unused_goes_and_ends_before_beginnings() {
    let home = tempfile::tempdir().unwrap();
    let mut spilled = open(home.path(), 6 * FILE + 1);
    let begin = SystemTime::now();
    let write = |spilled: &mut Spilled, second, keys: &[Key]| {
        spilled.keep_at(begin + Duration::from_secs(second), keys.iter().copied());
        spilled.settle(PATIENCE, fetch);
    };
    let (old, new, next) = (keys(1, 4), keys(2, 3), keys(3, 3));
    write(&mut spilled, 1, &old);
    write(&mut spilled, 2, &new);
    assert_eq!(held(&mut spilled, &new), [true; 3]);
    assert_eq!(held(&mut spilled, &old), [true, true, true, false]);
    // What is used again counts as new.
    write(&mut spilled, 3, &old[..2]);
    write(&mut spilled, 4, &next);
    assert_eq!(held(&mut spilled, &old), [true, true, false, false]);
    assert_eq!(held(&mut spilled, &new), [true, false, false]);
    assert_eq!(held(&mut spilled, &next), [true; 3]);
    // A sequence that is longer than everything keeps its beginning.
    let long = keys(4, 9);
    write(&mut spilled, 5, &long);
    let found = held(&mut spilled, &long);
    assert_eq!(found, [[true; 6].as_slice(), &[false; 3]].concat());
}

#[test]
fn several_who_write_keep_to_one_limit() {
    let home = tempfile::tempdir().unwrap();
    let (limit, directory) = (10 * FILE, home.path());
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                let mut spilled = open(directory, limit);
                for round in 0..8 {
                    write(&mut spilled, &keys(100 * writer + round, 4));
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..200 {
                let sizes = files(directory)
                    .into_iter()
                    .filter_map(|file| file.metadata().ok());
                assert!(sizes.map(|file| file.len()).sum::<u64>() <= limit);
            }
        });
    });
    assert!(!files(home.path()).is_empty());
}

#[test]
fn what_nobody_finished_goes_with_the_next_that_needs_room() {
    let home = tempfile::tempdir().unwrap();
    let mut spilled = open(home.path(), 2 * FILE);
    write(&mut spilled, &keys(1, 2));
    let left = files(home.path())[0].with_file_name(".incoming-1-2");
    fs::write(&left, "half").unwrap();
    write(&mut spilled, &keys(2, 2));
    assert!(!left.exists());
}

#[test]
fn what_cannot_be_written_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let mut spilled = open(home.path(), 1 << 20);
    write(&mut spilled, &keys(1, 1));
    let part = files(home.path())[0].parent().unwrap().to_owned();
    fs::remove_dir_all(&part).unwrap();
    fs::write(&part, "no directory").unwrap();
    write(&mut spilled, &keys(2, 2));
    assert_eq!(held(&mut spilled, &keys(2, 2)), [false; 2]);
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    write(&mut spilled, &keys(3, 2));
    assert_eq!(
        held(&mut spilled, &keys(3, 2)),
        [false; 2],
        "it is not tried again"
    );
}

#[test]
fn what_is_gone_from_memory_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut spilled = open(home.path(), 1 << 20);
    let keys = keys(1, 4);
    spilled.keep(keys.iter().copied());
    spilled.settle(PATIENCE, |key, bytes| *key != keys[2] && fetch(key, bytes));
    assert_eq!(held(&mut spilled, &keys), [true, true, false, true]);
    // It may come back.
    write(&mut spilled, &keys);
    assert_eq!(held(&mut spilled, &keys), [true; 4]);
}

#[test]
fn a_little_is_handed_over_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let mut spilled = open(home.path(), 1 << 20);
    let keys = keys(1, 5);
    spilled.keep(keys.iter().copied());
    let mut fetched = 0;
    let mut feed = |most| {
        spilled.feed(most, |key, bytes| {
            fetched += 1;
            fetch(key, bytes)
        })
    };
    assert!(feed(1) && feed(2 * BLOCK) && feed(1));
    assert!(!feed(usize::MAX));
    assert_eq!(fetched, 5);
}

#[test]
fn models_that_are_gone_take_theirs_along() {
    let home = tempfile::tempdir().unwrap();
    let open = |model: &str, identity| {
        Spilled::open(&options(home.path(), model, 1 << 20), [identity; 32], BLOCK).unwrap()
    };
    let (mut stays, mut goes) = (open("stays", 1), open("goes", 2));
    let keys = keys(1, 3);
    write(&mut goes, &keys);
    write(&mut stays, &keys);
    let installed = HashSet::from(["stays".to_owned()]);
    tidy(home.path(), &installed, 1 << 20).unwrap();
    assert_eq!(held(&mut stays, &keys), [true; 3]);
    assert_eq!(held(&mut goes, &keys), [false; 3]);
    tidy(home.path(), &installed, 2 * FILE).unwrap();
    assert_eq!(held(&mut stays, &keys), [true, true, false], "a smaller limit");
    let nowhere = home.path().join("nowhere");
    tidy(&nowhere, &installed, 0).unwrap();
    clear(&nowhere).unwrap();
    assert!(!nowhere.exists());
    assert!(Spilled::open(&options(&nowhere, "stays", 1), [1; 32], BLOCK).is_err());
}
