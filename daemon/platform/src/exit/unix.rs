use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// Signals that end processes, by their number here, with what they usually mean.
const SIGNALS: [(rustix::process::Signal, &str); 9] = [
    (
        rustix::process::Signal::KILL,
        "SIGKILL (perhaps the system ran out of memory)",
    ),
    (
        rustix::process::Signal::SEGV,
        "SIGSEGV (it touched memory that is not there)",
    ),
    (
        rustix::process::Signal::ABORT,
        "SIGABRT (it gave up, perhaps because an allocation failed)",
    ),
    (
        rustix::process::Signal::BUS,
        "SIGBUS (a file it maps became shorter, or the disk failed)",
    ),
    (
        rustix::process::Signal::ILL,
        "SIGILL (this processor lacks an instruction it uses)",
    ),
    (rustix::process::Signal::FPE, "SIGFPE"),
    (rustix::process::Signal::TERM, "SIGTERM"),
    (rustix::process::Signal::INT, "SIGINT"),
    (rustix::process::Signal::HUP, "SIGHUP"),
];

pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

pub(super) fn describe(status: ExitStatus) -> String {
    if let Some(number) = status.signal() {
        let known = SIGNALS.iter().find(|(signal, _)| signal.as_raw() == number);
        return known.map_or_else(
            || format!("was killed by signal {number}"),
            |(_, name)| format!("was killed by {name}"),
        );
    }
    status
        .code()
        .map_or_else(|| "ended".to_owned(), |code| format!("ended with code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals_have_words() {
        assert_eq!(describe(ExitStatus::from_raw(3 << 8)), "ended with code 3");
        assert!(describe(ExitStatus::from_raw(9)).contains("SIGKILL"));
        assert!(describe(ExitStatus::from_raw(11)).contains("SIGSEGV"));
        assert_eq!(describe(ExitStatus::from_raw(64)), "was killed by signal 64");
    }
}
