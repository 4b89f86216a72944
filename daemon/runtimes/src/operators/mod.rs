//! Our own operators inside ONNX Runtime, under the domain `airunner`.
//!
//! A rewritten graph names them; the weights they work with lie in a file of their own, which is
//! mapped and never goes through ONNX Runtime. What they compute is in `airunner-kernels`.

mod linear_matrix;
mod matmul;
pub(crate) mod packing;
pub(crate) mod paged;
pub(crate) mod pool;
mod rows;
pub(crate) mod weights;

use std::sync::{Arc, Mutex};

use airunner_kernels::Isa;
use airunner_kernels::matmul::Scratch;
use ort::operator::{KernelContext, OperatorDomain};

use paged::Paged;
use pool::Pool;
use weights::Weights;

pub(crate) const DOMAIN: &str = "airunner";
/// Attribute of a node: the key of its weights.
pub(crate) const WEIGHTS: &str = "weights";

/// What all nodes of one session share.
#[derive(Clone)]
pub(crate) struct Shared {
    weights: Arc<Weights>,
    isa: Isa,
    pool: Arc<Pool>,
    /// Nodes of a session run one after the other.
    scratch: Arc<Mutex<Scratch>>,
    /// Where attention keeps keys and values, in a graph whose attention is ours.
    paged: Arc<Paged>,
}

impl Shared {
    pub(crate) fn new(weights: Arc<Weights>, paged: Arc<Paged>, isa: Isa, pool: Arc<Pool>) -> Self {
        Self {
            weights,
            isa,
            pool,
            scratch: Arc::default(),
            paged,
        }
    }

    /// The matrix that a node names.
    fn matrix(&self, node: &KernelContext<'_>) -> ort::Result<Arc<weights::Matrix>> {
        let key: String = node
            .get(WEIGHTS)
            .ok_or_else(|| ort::Error::new("a node of domain airunner does not name its weights"))?;
        self.weights
            .matrix(&key)
            .ok_or_else(|| ort::Error::new(format!("there are no weights {key:?} beside the graph")))
    }
}

/// The operators, for one session.
pub(crate) fn domain(shared: &Shared) -> ort::Result<OperatorDomain> {
    OperatorDomain::new(DOMAIN)?
        .add(matmul::QuantizedMatMul(shared.clone()))?
        .add(matmul::QuantizedGatedMatMul(shared.clone()))?
        .add(rows::QuantizedRows(shared.clone()))?
        .add(paged::PagedAttention {
            paged: Arc::clone(&shared.paged),
            isa: shared.isa,
            pool: Arc::clone(&shared.pool),
        })
}
