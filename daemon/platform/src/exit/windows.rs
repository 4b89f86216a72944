use std::process::ExitStatus;

pub(super) const fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

pub(super) fn describe(status: ExitStatus) -> String {
    match status.code() {
        // Exception codes of the system have the top bits set and are written in hexadecimal.
        Some(code) if code < 0 => format!("ended with exception {code:#010x}"),
        Some(code) => format!("ended with code {code}"),
        None => "ended".to_owned(),
    }
}
