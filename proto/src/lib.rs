//! The wire language of AI Runner and the ways in and out of it.
//!
//! Owns the generated code of `proto/*.proto` and the conversions to and from the domain types
//! of `airunner-core`: `From` towards the wire, `TryFrom` from it, one file per domain under
//! [`convert`]. Nothing above this crate handles a wire type for longer than one line.

#![expect(
    clippy::allow_attributes_without_reason,
    reason = "the generated code has such attributes"
)]

#[allow(
    clippy::all,
    rustdoc::all,
    clippy::allow_attributes,
    single_use_lifetimes,
    unreachable_pub,
    reason = "generated"
)]
mod airunner {
    pub mod v1 {
        tonic::include_proto!("airunner.v1");
    }
    pub mod worker {
        pub mod v1 {
            tonic::include_proto!("airunner.worker.v1");
        }
    }
}

/// Generated code of package `airunner.v1`: the public language.
pub use airunner::v1;
/// Generated code of package `airunner.worker.v1`: between the daemon and its workers.
pub use airunner::worker::v1 as worker_v1;

pub mod convert;

/// The compiled descriptors of the public language, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Longest message either end accepts, bytes: the longest prompt with everything around it. Both
/// ends set it, so that a prompt which is too long gets a clear refusal and not a transport error.
pub const MAX_MESSAGE_BYTES: usize = 32 << 20;
