//! Tables of the documentation that repeat what the code says.

use airunner_core::ErrorKind;
use airunner_daemon::config::KEYS;
use airunner_tests::repository;

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
    let mut section = "";
    let mut described = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("### [") {
            section = name.trim_end_matches(']');
        }
        for row in rows(line).into_iter().filter(|row| row.len() == 4) {
            let [name, default, _, help] = &row[..] else {
                unreachable!("four cells")
            };
            described.push(format!("[{section}] {name} {default} {help}"));
        }
    }
    let actual: Vec<String> = KEYS
        .iter()
        .map(|key| format!("[{}] `{}` `{}` {}", key.section, key.name, key.default, key.help))
        .collect();
    assert_eq!(
        described, actual,
        "docs/configuration.md is behind daemon/src/config/keys.rs"
    );
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
