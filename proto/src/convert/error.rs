//! Faults as gRPC status and back: code, message, and the reason in `google.rpc.ErrorInfo`.

use std::error::Error as _;

use airunner_core::{ErrorKind, Fault};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `ErrorInfo` of this program.
pub const ERROR_DOMAIN: &str = "airunner";

/// Longest message on the wire, bytes. A status travels in HTTP/2 header fields, the message
/// twice and percent-encoded, and clients commonly refuse more than 16 KiB of these.
const MAX_MESSAGE_BYTES: usize = 2048;

/// The gRPC status of a fault.
///
/// The code comes from the fault's kind; `ErrorInfo.reason` is the kind's stable reason and
/// `RetryInfo.retry_delay` is set where trying again makes sense.
#[must_use]
pub fn status_from_fault(fault: &Fault) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(
        fault.kind.reason(),
        ERROR_DOMAIN,
        std::collections::HashMap::new(),
    );
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
    let reason = details
        .error_info()
        .filter(|info| info.domain == ERROR_DOMAIN)
        .map(|info| &*info.reason);
    let kind = reason
        .and_then(ErrorKind::from_reason)
        .unwrap_or_else(|| kind_of(status));
    let mut fault = Fault::new(kind, status.message());
    fault.retry_after = details.retry_info().and_then(|info| info.retry_delay);
    fault
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            let fault = Fault::new(kind, "what happened: what to do");
            assert_eq!(fault_from_status(&status_from_fault(&fault)), fault);
            let later = fault.retry_after(Duration::from_millis(1500));
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
            (Status::unknown("?"), ErrorKind::Internal),
            (
                Status::from_error("connection reset".into()),
                ErrorKind::DaemonNotRunning,
            ),
        ] {
            assert_eq!(fault_from_status(&status).kind, kind, "{status}");
        }
    }

    #[test]
    fn a_reason_of_another_domain_means_nothing_here() {
        let details = ErrorDetails::with_error_info("queue_full", "example.org", []);
        let status = Status::with_error_details(Code::NotFound, "x", details);
        assert_eq!(fault_from_status(&status).kind, ErrorKind::NotFound);
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
