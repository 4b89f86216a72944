use std::path::Path;

use super::super::Definition;
use super::{service_unit, socket_unit};

/// The first word of a line in systemd's syntax: quotes of both kinds, C escapes, and specifiers,
/// of which only the doubled percent sign may occur. Returns the rest too.
fn word(line: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, ' ') => return (word, &line[at + 1..]),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if character == open => quote = None,
            (_, '\\') => {
                let (_, escaped) = characters.next().expect("an escape is whole");
                assert!("\"'\\".contains(escaped), "{line}");
                word.push(escaped);
            }
            (_, '%') => {
                assert_eq!(characters.next().map(|(_, next)| next), Some('%'), "{line}");
                word.push('%');
            }
            (_, plain) => word.push(plain),
        }
    }
    assert_eq!(quote, None, "a quote is closed: {line}");
    (word, "")
}

fn words(mut line: &str) -> Vec<String> {
    let mut words = Vec::new();
    while !line.is_empty() {
        let (next, rest) = word(line);
        words.push(next);
        line = rest;
    }
    words
}

fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let values: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect();
    assert_eq!(values.len(), 1, "{key}: {unit}");
    values[0]
}

/// The program that systemd would start in the end.
fn program(unit: &str) -> String {
    let command = value(unit, "ExecStart");
    let words = words(command.strip_prefix(':').expect("no variables are put in"));
    match words.as_slice() {
        [program] => {
            assert!(
                !program.contains(['"', '\'', '\\']),
                "systemd refuses it: {program}"
            );
            program.clone()
        }
        [shell, option, script, program] => {
            assert_eq!((&**shell, &**option, &**script), ("/bin/sh", "-c", "exec \"$0\""));
            program.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn of_a_user(executable: &str, home: &str) -> Definition {
    Definition {
        socket: Some(format!("{home}/run/airunnerd.sock").into()),
        environment: vec![("AIRUNNER_HOME".to_owned(), home.to_owned())],
        for_everybody: false,
        ..Definition::packaged(executable.into())
    }
}

proptest::proptest! {
    #[test]
    fn hostile_paths_are_read_back(tail in "[^\\p{Cc}]{0,40}", hostile in "[ \"'`$\\\\%äß&;<>|*?#{}@:!+-]{0,12}") {
        let executable = format!("/{hostile}{tail}/airunnerd");
        let home = format!("/{tail}{hostile}/home");
        let definition = of_a_user(&executable, &home);
        let service = service_unit(&definition).unwrap();
        proptest::prop_assert_eq!(program(&service), executable);
        let environment = words(value(&service, "Environment"));
        proptest::prop_assert_eq!(environment, vec![format!("AIRUNNER_HOME={home}")]);
        let socket = socket_unit(&definition).unwrap();
        let address = value(&socket, "ListenStream");
        proptest::prop_assert_eq!(address.replace("%%", "%"), format!("{home}/run/airunnerd.sock"));
        proptest::prop_assert_eq!(address.replace("%%", "").find('%'), None);
    }
}

#[test]
fn what_would_end_a_line_is_refused() {
    for (executable, home) in [
        ("/a\nExecStart=/b", "/h"),
        ("/a", "/h\n[Install]"),
        ("relative", "/h"),
    ] {
        assert!(service_unit(&of_a_user(executable, home)).is_err());
    }
    assert!(socket_unit(&of_a_user("/a", "/h\rx")).is_err());
}

#[test]
fn the_packaged_units_are_these() {
    let definition = Definition::packaged("/usr/bin/airunnerd".into());
    assert_eq!(
        service_unit(&definition).unwrap(),
        include_str!("golden/airunner.service")
    );
    assert_eq!(
        socket_unit(&definition).unwrap(),
        include_str!("golden/airunner.socket")
    );
}

#[test]
fn a_home_of_its_own_has_no_directories_of_the_usual_one() {
    let service = service_unit(&of_a_user("/opt/airunnerd", "/srv/a b")).unwrap();
    assert!(!service.contains("Directory=airunner"), "{service}");
    assert!(!service.contains("ConditionUser"), "{service}");
    assert_eq!(value(&service, "Environment"), "\"AIRUNNER_HOME=/srv/a b\"");
    let usual = Definition {
        for_everybody: false,
        ..Definition::packaged(Path::new("/opt/airunnerd").into())
    };
    assert!(
        socket_unit(&usual)
            .unwrap()
            .contains("ListenStream=%t/airunner/airunnerd.sock\n")
    );
}
