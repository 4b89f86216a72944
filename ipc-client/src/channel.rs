//! The gRPC channel over the local socket, and what its errors mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};
use airunner_platform::{Endpoint, connect};
use airunner_proto::convert::fault_from_status;
use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::transport::{Channel, Endpoint as Target, Uri};
use tower::service_fn;

/// Longest wait for an answer that needs no work.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects. The channel connects again by itself when a later call finds the daemon restarted.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Channel, Fault> {
    // The first connection is made here, where its error is still one of the operating system.
    let mut first = Some(
        connect(endpoint)
            .await
            .map_err(|error| unreachable(endpoint, &error))?,
    );
    let endpoint = endpoint.clone();
    let connector = service_fn(move |_: Uri| {
        let (ready, endpoint) = (first.take(), endpoint.clone());
        async move {
            match ready {
                Some(connection) => io::Result::Ok(TokioIo::new(connection)),
                None => connect(&endpoint).await.map(TokioIo::new),
            }
        }
    });
    // The name only fills a header: the connector decides where bytes go.
    let target = Target::from_static("http://airunner.localhost");
    target
        .connect_with_connector(connector)
        .await
        .map_err(|error| lost(&error))
}

/// The fault of a failed call.
pub(crate) fn fault(status: &Status) -> Fault {
    let fault = fault_from_status(status);
    if fault.kind != ErrorKind::DaemonNotRunning {
        return fault;
    }
    match status.source() {
        Some(cause) => lost(cause),
        None => lost(status),
    }
}

/// Fails if a call that should be answered at once is not.
pub(crate) async fn promptly<T>(call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| {
        Err(Fault::new(
            ErrorKind::DeadlineExceeded,
            format!(
                "the daemon does not answer within {} s: see \"airunner logs\"",
                PATIENCE.as_secs()
            ),
        ))
    })
}

fn unreachable(endpoint: &Endpoint, error: &io::Error) -> Fault {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the set is open and the rest means one thing"
    )]
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            not_running("the daemon is not running".to_owned())
        }
        io::ErrorKind::PermissionDenied => Fault::new(
            ErrorKind::PermissionDenied,
            format!(
                "{endpoint} may not be used by this user: {error}; run as the user who started the daemon"
            ),
        ),
        _ => not_running(format!("the daemon cannot be reached at {endpoint}: {error}")),
    }
}

fn lost(cause: &(dyn Error + 'static)) -> Fault {
    not_running(format!(
        "the connection to the daemon broke ({})",
        error::chain(cause)
    ))
}

fn not_running(what: String) -> Fault {
    Fault::new(
        ErrorKind::DaemonNotRunning,
        format!("{what}; start it with: airunner start"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_daemon_the_message_says_how_to_start_it() {
        let endpoint = Endpoint::at(std::env::temp_dir().join("airunner-nobody-listens-here.sock"));
        let fault = open(&endpoint).await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::DaemonNotRunning);
        assert!(
            fault.message.ends_with("start it with: airunner start"),
            "{fault}"
        );
    }

    #[test]
    fn an_error_of_the_daemon_is_passed_on_and_a_broken_connection_is_named() {
        let refused = Fault::new(ErrorKind::ModelNotFound, "no model is called x");
        let status = airunner_proto::convert::status_from_fault(&refused);
        assert_eq!(fault(&status), refused);
        let broken = fault(&Status::from_error("connection reset".into()));
        assert_eq!(broken.kind, ErrorKind::DaemonNotRunning);
        assert!(broken.message.contains("connection reset"), "{broken}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_error() {
        let fault = promptly(std::future::pending::<Result<(), Fault>>())
            .await
            .unwrap_err();
        assert_eq!(fault.kind, ErrorKind::DeadlineExceeded);
    }
}
