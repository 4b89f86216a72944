//! Paths as text that can stand in a file of lines.

use std::path::Path;

use super::ServiceError;

/// The path as text, if every format can hold it: UTF-8, absolute, and without control
/// characters, a line's end above all.
pub(super) fn of_path(path: &Path) -> Result<&str, ServiceError> {
    let refuse = |why| {
        Err(ServiceError::Path {
            path: path.to_path_buf(),
            why,
        })
    };
    match path.to_str() {
        None => refuse("it is not UTF-8"),
        Some(text) if text.chars().any(char::is_control) => refuse("it has control characters"),
        Some(text) if !is_absolute(text) => refuse("it is not absolute"),
        Some(text) => Ok(text),
    }
}

/// The same for other values.
pub(super) fn of_value(value: &str) -> Result<&str, ServiceError> {
    if value.chars().any(char::is_control) {
        return Err(ServiceError::Path {
            path: value.into(),
            why: "it has control characters",
        });
    }
    Ok(value)
}

/// On whichever system it is for, which need not be this one.
fn is_absolute(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some('/' | '\\') => true,
        Some(drive) => drive.is_ascii_alphabetic() && characters.next() == Some(':'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_file_of_lines_can_hold_is_refused() {
        for path in [
            "",
            "relative/path",
            "/a\nb",
            "/a\u{7f}",
            "/a\u{85}b",
            "/tab\there",
        ] {
            assert!(of_path(Path::new(path)).is_err(), "{path:?}");
        }
        for path in [
            "/a b",
            "/ä",
            "C:\\Program Files\\x.exe",
            "\\\\server\\x",
            "/%n$HOME\"'\\",
        ] {
            assert_eq!(of_path(Path::new(path)).unwrap(), path);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        assert!(of_path(Path::new(std::ffi::OsStr::from_bytes(b"/\xff"))).is_err());
    }
}
