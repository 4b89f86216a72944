//! Products with quantized weights.

use std::sync::{Arc, PoisonError};

use airunner_kernels::matmul::Activation;
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;

use super::Shared;
use super::pool::Successor;
use super::weights::Matrix;

/// `Y = A * W^T + bias`: A [.., columns], bias [rows], Y [.., rows], float32.
pub(super) struct QuantizedMatMul(pub(super) Shared);

/// `Y = activation(A * G^T) * (A * U^T)`: A [.., columns], Y [.., rows of G], float32.
pub(super) struct QuantizedGatedMatMul(pub(super) Shared);

pub(super) struct Product {
    shared: Shared,
    matrix: Arc<Matrix>,
    activation: Option<Activation>,
    successor: Arc<Successor>,
}

impl Operator for QuantizedMatMul {
    type Kernel<'k> = Product;

    fn name(&self) -> &'static str {
        "QuantizedMatMul"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32), OperatorInput::optional(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel(&self, node: &KernelContext<'_>) -> ort::Result<Product> {
        Ok(Product {
            matrix: self.0.matrix(node)?,
            shared: self.0.clone(),
            activation: None,
            successor: Arc::default(),
        })
    }
}

impl Operator for QuantizedGatedMatMul {
    type Kernel<'k> = Product;

    fn name(&self) -> &'static str {
        "QuantizedGatedMatMul"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel(&self, node: &KernelContext<'_>) -> ort::Result<Product> {
        let named: Option<String> = node.get("activation");
        let activation = match named.as_deref() {
            Some("silu") => Activation::Silu,
            Some("gelu_tanh") => Activation::GeluTanh,
            Some("gelu_erf") => Activation::GeluErf,
            other => return Err(ort::Error::new(format!("an activation {other:?} is not known"))),
        };
        Ok(Product {
            matrix: self.0.matrix(node)?,
            shared: self.0.clone(),
            activation: Some(activation),
            successor: Arc::default(),
        })
    }
}

impl Product {
    /// Results per row of A.
    fn width(&self) -> usize {
        match self.activation {
            None => self.matrix.shape().rows(),
            Some(_) => self.matrix.shape().rows() / 2,
        }
    }
}

impl Kernel for Product {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let input = required(context, 0)?;
        let (shape, x) = input.try_extract_tensor::<f32>()?;
        let mut shape = shape.to_vec();
        let last = shape
            .last_mut()
            .filter(|last| **last == self.matrix.shape().columns() as i64);
        *last.ok_or_else(|| {
            ort::Error::new("the input of a product is of another width than its weights")
        })? = self.width() as i64;
        let bias = match self.activation {
            None => context.input(1)?,
            Some(_) => None,
        };
        let bias = bias
            .as_ref()
            .map(|bias| bias.try_extract_tensor::<f32>())
            .transpose()?;
        let bias = bias.map(|(_, bias)| bias);
        if bias.is_some_and(|bias| bias.len() != self.width()) {
            return Err(ort::Error::new(
                "the bias of a product is of another length than its rows",
            ));
        }
        let mut output = context
            .output(0, shape)?
            .ok_or_else(|| ort::Error::new("a product has no place for its result"))?;
        let (_, y) = output.try_extract_tensor_mut::<f32>()?;
        let pool = &*self.shared.pool;
        let mut scratch = self.shared.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let isa = self.shared.isa;
        pool.turn_to(&self.matrix, &self.successor);
        match self.activation {
            None => self.matrix.multiply(isa, x, bias, y, &mut scratch, pool),
            Some(activation) => self
                .matrix
                .multiply_gated(isa, activation, x, y, &mut scratch, pool),
        }
        .map_err(|error| ort::Error::new(error.to_string()))
    }
}

/// An input that every node of a kind has.
pub(super) fn required(context: &ComputeContext, place: usize) -> ort::Result<ort::value::ValueRef<'_>> {
    context
        .input(place)?
        .ok_or_else(|| ort::Error::new(format!("a node lacks its input {place}")))
}
