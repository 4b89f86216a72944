//! The licences of everything in a package, as one text.

use std::collections::BTreeMap;

use super::files::Entry;
use super::licences::Crate;
use super::materials::Materials;

const LINE: &str = "--------------------------------------------------------------------------------\n";

/// The texts as files of a directory.
pub(super) fn entries(materials: &Materials, directory: &str) -> [Entry; 2] {
    [
        Entry::text(
            format!("{directory}/THIRD-PARTY-NOTICES.txt"),
            third_party(materials),
        ),
        Entry::text(
            format!("{directory}/ONNXRUNTIME-NOTICES.txt"),
            &materials.library.notices,
        ),
    ]
}

/// Ours, ONNX Runtime's and those of every crate; equal texts are there once.
pub(super) fn third_party(materials: &Materials) -> String {
    let release = &materials.release;
    let library = &materials.library;
    let mut text = format!(
        "What AI Runner {} for {} on {} is made of, and under which licences.\n\n\
         AI Runner itself is under the MIT license or the Apache License 2.0, at your option.\n\n",
        release.version, release.platform.system, release.platform.processor
    );
    text += &format!(
        "Beside the programs lies ONNX Runtime {}, unchanged, under the MIT license; what it is made of\n\
         is in ONNXRUNTIME-NOTICES.txt. Linked into the programs are the standard library of Rust, under\n\
         the MIT license or the Apache License 2.0, and:\n\n",
        library.version
    );
    let foreign: Vec<&Crate> = materials.crates.iter().filter(|one| !one.ours).collect();
    for one in &foreign {
        text += &format!("  {} {}: {}{}\n", one.name, one.version, one.licence, origin(one));
        if let Some(version) = &one.sqlite {
            text += &format!("    with SQLite {version}, which is in the public domain\n");
        }
    }
    text += &format!(
        "\n{LINE}ONNX Runtime {}\n{LINE}\n{}\n",
        library.version,
        library.licence.trim()
    );
    for (licence, names) in by_text(&foreign) {
        text += &format!("\n{LINE}{}\n{LINE}\n{licence}", wrapped(&names));
    }
    let bare: Vec<String> = foreign
        .iter()
        .filter(|one| one.texts.is_empty())
        .map(|one| credited(one))
        .collect();
    if !bare.is_empty() {
        text += &format!(
            "\n{LINE}Published without the text of their licence, which is the standard one of its name:\n{LINE}\n"
        );
        text += &bare.concat();
    }
    text
}

/// Texts in the order of the first crate that has each, with the crates that have it.
fn by_text<'a>(crates: &[&'a Crate]) -> Vec<(&'a str, Vec<String>)> {
    let mut order: Vec<&str> = Vec::new();
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in crates {
        for text in &one.texts {
            let known = names.entry(text).or_default();
            if known.is_empty() {
                order.push(text);
            }
            known.push(format!("{} {}", one.name, one.version));
        }
    }
    order
        .into_iter()
        .map(|text| (text, names.remove(text).unwrap_or_default()))
        .collect()
}

fn origin(one: &Crate) -> String {
    one.repository
        .as_ref()
        .map(|place| format!(", {place}"))
        .unwrap_or_default()
}

fn credited(one: &Crate) -> String {
    let authors = if one.authors.is_empty() {
        "its contributors".to_owned()
    } else {
        one.authors.join(", ")
    };
    format!(
        "{} {}: {}; copyright {authors}\n",
        one.name, one.version, one.licence
    )
}

/// Names in lines that are not too long.
fn wrapped(names: &[String]) -> String {
    let mut lines = vec![String::new()];
    for name in names {
        let last = lines.last_mut().expect("there is a line");
        if !last.is_empty() && last.len() + name.len() > 76 {
            last.push(',');
            lines.push(name.clone());
        } else {
            if !last.is_empty() {
                last.push_str(", ");
            }
            last.push_str(name);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    #[test]
    fn everything_foreign_is_named_and_its_text_there_once() {
        let mut materials = sample();
        materials.crates.push(Crate {
            name: "textless".to_owned(),
            texts: Vec::new(),
            ..materials.crates[1].clone()
        });
        let text = third_party(&materials);
        for wanted in [
            "ONNX Runtime 1.31.1",
            "licence of ONNX Runtime",
            "  half 1.0.0: MIT, https://example.org/half",
            "SQLite 3.54.1",
            "bundled 1.0.0, half 1.0.0\n",
            "textless 1.0.0: MIT; copyright Somebody",
        ] {
            assert!(text.contains(wanted), "{wanted} in:\n{text}");
        }
        assert_eq!(text.matches("the licence MIT\n").count(), 1, "{text}");
        assert!(!text.contains("airunner-daemon"), "{text}");
    }

    #[test]
    fn long_lists_of_names_are_broken_into_lines() {
        let names: Vec<String> = (0..40).map(|number| format!("crate-{number} 1.0.0")).collect();
        let text = wrapped(&names);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert_eq!(text.matches("crate-").count(), 40);
    }
}
