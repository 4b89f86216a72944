//! Small parts of a graph, computed to see what they say.

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use crate::onnx::dtype;

/// What an input is fed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub name: String,
    pub shape: Vec<i64>,
    pub values: Fed,
}

/// Elements of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    Integers(Vec<i64>),
    /// Zeros of a floating point type, `TensorProto.DataType`.
    Zeros(i64),
}

/// Runs a model that has one output of 32-bit floats.
pub trait Evaluate {
    /// The shape of the output and its elements, or why there are none.
    fn evaluate(&mut self, model: &[u8], inputs: Vec<Feed>) -> Result<(Vec<i64>, Vec<f32>), String>;
}

/// With ONNX Runtime, on one thread.
#[derive(Debug)]
pub struct OnnxRuntime<'e>(pub &'e Environment);

impl Evaluate for OnnxRuntime<'_> {
    fn evaluate(&mut self, model: &[u8], inputs: Vec<Feed>) -> Result<(Vec<i64>, Vec<f32>), String> {
        self.run(model, inputs).map_err(|error| error.to_string())
    }
}

impl OnnxRuntime<'_> {
    fn run(&self, model: &[u8], inputs: Vec<Feed>) -> ort::Result<(Vec<i64>, Vec<f32>)> {
        let mut session = Session::builder(self.0)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .commit_from_memory(model)?;
        let values = inputs
            .into_iter()
            .map(|feed| Ok((feed.name.clone(), value(feed)?)));
        let values: Vec<(String, SessionInputValue<'_>)> = values.collect::<ort::Result<_>>()?;
        let outputs = session.run(values)?;
        let (shape, elements) = outputs[0].try_extract_tensor::<f32>()?;
        Ok((shape.to_vec(), elements.to_vec()))
    }
}

fn value(feed: Feed) -> ort::Result<SessionInputValue<'static>> {
    let elements = feed.shape.iter().product::<i64>();
    let count = usize::try_from(elements).unwrap_or(0);
    Ok(match feed.values {
        Fed::Integers(values) => Tensor::from_array((feed.shape, values))?.into(),
        Fed::Zeros(dtype::FLOAT16) => Tensor::from_array((feed.shape, vec![half::f16::ZERO; count]))?.into(),
        Fed::Zeros(dtype::BFLOAT16) => {
            Tensor::from_array((feed.shape, vec![half::bf16::ZERO; count]))?.into()
        }
        Fed::Zeros(_) => Tensor::from_array((feed.shape, vec![0_f32; count]))?.into(),
    })
}
