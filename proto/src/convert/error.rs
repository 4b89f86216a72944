//! Faults as gRPC status and back: code, message, and the reason in `google.rpc.ErrorInfo`.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::common::millis;
use crate::v1;

/// The domain of every `ErrorInfo` of this program.
pub const ERROR_DOMAIN: &str = "airunner";

/// Longest message on the wire, bytes. A status travels in HTTP/2 header fields, the message
/// twice and percent-encoded, and clients commonly refuse more than 16 KiB of these.
const MAX_MESSAGE_BYTES: usize = 2048;

/// Most figures of a fault, and how long their names and values may be, bytes. Others are left out.
const MAX_FIGURES: usize = 32;
const MAX_FIGURE_NAME_BYTES: usize = 64;
const MAX_FIGURE_BYTES: usize = 256;

/// Most bytes of all figures together that are sent; they share the header fields with the message.
const MAX_FIGURES_BYTES: usize = 2048;

/// The figures that can be sent, in the order of their names.
fn figures_to_wire(figures: &BTreeMap<String, String>) -> HashMap<String, String> {
    let mut left = MAX_FIGURES_BYTES;
    figures
        .iter()
        .filter(|(name, value)| is_figure(name, value))
        .take(MAX_FIGURES)
        .take_while(|(name, value)| {
            let room = left.checked_sub(name.len() + value.len());
            left = room.unwrap_or_default();
            room.is_some()
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The figures that can be believed.
fn figures_from_wire(figures: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    figures
        .into_iter()
        .filter(|(name, value)| is_figure(name, value))
        .take(MAX_FIGURES)
        .collect()
}

fn is_figure(name: &str, value: &str) -> bool {
    (1..=MAX_FIGURE_NAME_BYTES).contains(&name.len()) && value.len() <= MAX_FIGURE_BYTES
}

/// The gRPC status of a fault.
///
/// The code comes from the fault's kind; `ErrorInfo.reason` is the kind's stable reason,
/// `ErrorInfo.metadata` its figures, and
/// `RetryInfo.retry_delay` is set where trying again makes sense.
#[must_use]
pub fn status_from_fault(fault: &Fault) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(fault.kind.reason(), ERROR_DOMAIN, figures_to_wire(&fault.figures));
    if fault.retry_after.is_some() {
        details.set_retry_info(fault.retry_after);
    }
    let code = Code::from_i32(fault.kind.grpc_code() as i32);
    Status::with_error_details(code, shortened(&fault.message), details)
}

/// The fault of a gRPC status.
///
/// A status of this program keeps its kind. Any other, such as those of the transport, gets the
/// kind that fits best; a broken connection is [`ErrorKind::DaemonNotRunning`], which the daemon
/// reads as a crash when it was speaking to a worker.
#[must_use]
pub fn fault_from_status(status: &Status) -> Fault {
    let details = status.get_error_details();
    let ours = details.error_info().filter(|info| info.domain == ERROR_DOMAIN);
    let kind = ours
        .and_then(|info| ErrorKind::from_reason(&info.reason))
        .unwrap_or_else(|| kind_of(status));
    let mut fault = Fault::new(kind, message(status));
    fault.figures = ours
        .map(|info| figures_from_wire(info.metadata.clone()))
        .unwrap_or_default();
    fault.retry_after = details.retry_info().and_then(|info| info.retry_delay);
    fault
}

impl From<Fault> for v1::Fault {
    fn from(fault: Fault) -> Self {
        Self {
            reason: fault.kind.reason().to_owned(),
            retry_after_ms: fault.retry_after.map(millis),
            figures: figures_to_wire(&fault.figures),
            message: fault.message,
        }
    }
}

impl From<v1::Fault> for Fault {
    /// A reason that is unknown here is an internal error.
    fn from(wire: v1::Fault) -> Self {
        let kind = ErrorKind::from_reason(&wire.reason).unwrap_or(ErrorKind::Internal);
        let mut fault = Self::new(kind, wire.message);
        fault.retry_after = wire.retry_after_ms.map(Duration::from_millis);
        fault.figures = figures_from_wire(wire.figures);
        fault
    }
}

fn kind_of(status: &Status) -> ErrorKind {
    // Statuses of the transport carry their cause; statuses from the other end never do.
    if status.source().is_some() {
        return ErrorKind::DaemonNotRunning;
    }
    match status.code() {
        Code::Cancelled => ErrorKind::Cancelled,
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::ResourceExhausted => ErrorKind::QueueFull,
        Code::Unavailable => ErrorKind::DaemonNotRunning,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::Unimplemented => ErrorKind::ProtocolMismatch,
        Code::Ok
        | Code::Unknown
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => ErrorKind::Internal,
    }
}

/// A status without words still gets a sentence.
fn message(status: &Status) -> String {
    match (status.message(), status.code()) {
        ("", Code::Unimplemented) => {
            "the other side does not know this call: use a client and a daemon of the same version".to_owned()
        }
        ("", code) => code.description().to_owned(),
        (message, _) => message.to_owned(),
    }
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let ellipsis = '…';
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES - ellipsis.len_utf8());
    format!("{}{ellipsis}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            let fault = Fault::new(kind, "what happened: what to do");
            assert_eq!(fault_from_status(&status_from_fault(&fault)), fault);
            let later = fault
                .retry_after(Duration::from_millis(1500))
                .figure("required_bytes", 3_u64 << 30)
                .figure("device", "cpu");
            assert_eq!(fault_from_status(&status_from_fault(&later)), later);
        }
    }

    #[test]
    fn a_status_of_somebody_else_gets_the_kind_that_fits() {
        for (status, kind) in [
            (
                Status::unimplemented("no such method"),
                ErrorKind::ProtocolMismatch,
            ),
            (Status::unavailable("gone"), ErrorKind::DaemonNotRunning),
            (
                Status::out_of_range("message too large"),
                ErrorKind::InvalidArgument,
            ),
            (Status::unimplemented(""), ErrorKind::ProtocolMismatch),
            (Status::unknown(""), ErrorKind::Internal),
            (
                Status::from_error("connection reset".into()),
                ErrorKind::DaemonNotRunning,
            ),
        ] {
            assert_eq!(fault_from_status(&status).kind, kind, "{status}");
            assert!(!fault_from_status(&status).message.is_empty(), "{status}");
        }
    }

    #[test]
    fn a_reason_of_another_domain_means_nothing_here() {
        let details = ErrorDetails::with_error_info("queue_full", "example.org", []);
        let status = Status::with_error_details(Code::NotFound, "x", details);
        assert_eq!(fault_from_status(&status).kind, ErrorKind::NotFound);
    }

    #[test]
    fn figures_are_bounded_both_ways() {
        let many = |name: &str, value: &str, count: usize| {
            (0..count).fold(Fault::internal("x"), |fault, number| {
                fault.figure(&format!("{name}{number:04}"), value)
            })
        };
        for (fault, left) in [
            (many("n", "1", 40), 32),
            (many(&"n".repeat(64), "1", 3), 0),
            (many("n", &"1".repeat(257), 3), 0),
            (many("n", &"1".repeat(250), 32), 8),
            (Fault::internal("x").figure("", "1"), 0),
        ] {
            let back = fault_from_status(&status_from_fault(&fault));
            assert_eq!(back.figures.len(), left, "{:?}", fault.figures.first_key_value());
        }
        let metadata = (0..100).map(|number| (number.to_string(), String::new()));
        let details =
            ErrorDetails::with_error_info("busy", ERROR_DOMAIN, metadata.collect::<HashMap<_, _>>());
        let hostile = Status::with_error_details(Code::FailedPrecondition, "x", details);
        assert_eq!(fault_from_status(&hostile).figures.len(), MAX_FIGURES);
    }

    #[test]
    fn a_long_message_is_cut_between_characters_to_what_headers_can_carry() {
        let status = status_from_fault(&Fault::internal("ä".repeat(5000)));
        assert!(status.message().len() <= MAX_MESSAGE_BYTES);
        assert!(status.message().ends_with("ä…"));
    }

    proptest::proptest! {
        #[test]
        fn no_details_panic(code in 0..20_i32, message in ".*", details: Vec<u8>) {
            let status = Status::with_details(Code::from_i32(code), message, details.into());
            let _ = fault_from_status(&status);
        }
    }
}
