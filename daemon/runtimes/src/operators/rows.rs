//! Rows of quantized weights by number: embeddings.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::{Float32, Int64};

use super::Shared;
use super::matmul::required;
use super::weights::Matrix;

/// `Y = W[ids]`: ids [..], Y [.., columns], float32.
pub(super) struct QuantizedRows(pub(super) Shared);

pub(super) struct Rows {
    matrix: Arc<Matrix>,
}

impl Operator for QuantizedRows {
    type Kernel<'k> = Rows;

    fn name(&self) -> &'static str {
        "QuantizedRows"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Int64)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel(&self, node: &KernelContext<'_>) -> ort::Result<Rows> {
        Ok(Rows {
            matrix: self.0.matrix(node)?,
        })
    }
}

impl Kernel for Rows {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let input = required(context, 0)?;
        let (shape, ids) = input.try_extract_tensor::<i64>()?;
        let columns = self.matrix.shape().columns();
        let mut shape = shape.to_vec();
        shape.push(columns as i64);
        let mut output = context
            .output(0, shape)?
            .ok_or_else(|| ort::Error::new("an embedding has no place for its result"))?;
        let (_, y) = output.try_extract_tensor_mut::<f32>()?;
        for (&id, row) in ids.iter().zip(y.chunks_exact_mut(columns.max(1))) {
            let known = usize::try_from(id)
                .ok()
                .filter(|id| *id < self.matrix.shape().rows());
            let id = known.ok_or_else(|| ort::Error::new(format!("there is no token {id}")))?;
            self.matrix
                .row(id, row)
                .map_err(|error| ort::Error::new(error.to_string()))?;
        }
        Ok(())
    }
}
