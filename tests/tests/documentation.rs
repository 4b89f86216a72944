//! Tables of the documentation that repeat what the code says.

use airunner_core::ErrorKind;
use airunner_daemon::config::keys;
use airunner_tests::repository;

/// Around what is made of the table of settings.
const BEGIN: &str = "<!-- made of daemon/src/config/keys; a test holds it to that -->";
const END: &str = "<!-- until here -->";

fn page(name: &str) -> String {
    let path = repository().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of every table on a page, as their cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_setting_is_described_as_it_is() {
    let page = page("configuration.md");
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page says where the tables begin");
    let (_, after) = rest.split_once(END).expect("the page says where the tables end");
    let wanted = format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables());
    if page != wanted {
        let copy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("configuration.md");
        std::fs::write(&copy, wanted).expect("the target directory is writable");
        panic!(
            "docs/configuration.md is behind daemon/src/config/keys: copy {} over it",
            copy.display()
        );
    }
}

/// A table for each section.
fn tables() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in keys() {
        if key.section != section {
            section = key.section;
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!(
                "{gap}### [{section}]\n\n| key | default | allowed | a change counts | what it does |\n|---|---|---|---|---|\n"
            ));
        }
        let (name, default, allowed, applies, help) =
            (key.name, key.default, key.allowed, key.applies, key.help);
        text.push_str(&format!(
            "| `{name}` | `{default}` | {allowed} | {applies} | {help} |\n"
        ));
    }
    text
}

#[test]
fn every_error_is_described_as_it_is() {
    let screaming = |name: String| {
        let mut text = String::new();
        for character in name.chars() {
            if character.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(character.to_ascii_uppercase());
        }
        text
    };
    let described: Vec<String> = rows(&page("protocol.md"))
        .into_iter()
        .filter(|row| row.len() == 4)
        .map(|row| row[..3].join(" "))
        .collect();
    let actual: Vec<String> = ErrorKind::ALL
        .iter()
        .map(|kind| {
            let code = screaming(format!("{:?}", kind.grpc_code()));
            format!("`{}` `{code}` {}", kind.reason(), kind.http_status())
        })
        .collect();
    assert_eq!(
        described, actual,
        "docs/protocol.md is behind daemon/core/src/error.rs"
    );
}
