//! Inputs and outputs of a decoder's graph, read from the graph itself.

use std::borrow::Cow;

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType};

use super::ComputeError;
use super::tensor::Float;
use crate::package::Package;

/// How to feed a graph and read it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interface {
    pub(crate) tokens: Integers,
    pub(crate) mask: Option<Integers>,
    pub(crate) positions: Option<Integers>,
    /// Which rows are followed by logits, for graphs over packed sequences.
    pub(crate) rows: Option<Integers>,
    /// Its rank, beside: some graphs want a scalar, some one element.
    pub(crate) logits_to_keep: Option<(Integers, usize)>,
    /// Merged graphs with a branch for the first run.
    pub(crate) use_cache_branch: bool,
    /// Keys and values of every layer; empty for graphs without a cache.
    pub(crate) cache: Vec<CacheTensor>,
    pub(crate) cache_float: Float,
    pub(crate) logits: String,
    pub(crate) logits_float: Float,
    /// The graph was made for one sequence at a time.
    pub(crate) one_row: bool,
}

/// Numbers of rows among the packed tokens of all sequences.
pub(crate) const ROWS_INPUT: &str = "airunner.rows";

/// An input of whole numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Integers {
    pub(crate) name: String,
    narrow: bool,
}

/// Keys or values of one layer, shape [batch, heads, tokens, size].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CacheTensor {
    pub(crate) past: String,
    pub(crate) present: String,
    pub(crate) heads: usize,
    pub(crate) size: usize,
}

impl Integers {
    pub(crate) fn tensor(&self, shape: &[usize], numbers: Vec<i64>) -> Result<DynValue, ComputeError> {
        if !self.narrow {
            return Ok(Tensor::from_array((shape, numbers))?.into_dyn());
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "token ids, positions, zeros and ones"
        )]
        let numbers: Vec<i32> = numbers.into_iter().map(|number| number as i32).collect();
        Ok(Tensor::from_array((shape, numbers))?.into_dyn())
    }
}

/// The small inputs of one run over `rows` sequences with `columns` new tokens each.
pub(crate) struct StepInputs {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) tokens: Vec<i64>,
    /// `rows` x `width`.
    pub(crate) mask: Vec<i64>,
    pub(crate) width: usize,
    pub(crate) positions: Vec<i64>,
    /// The rows whose logits are wanted, where the graph asks for them.
    pub(crate) wanted: Vec<i64>,
    /// False in the first run of a merged graph.
    pub(crate) has_past: bool,
}

impl Interface {
    pub(crate) fn read(session: &Session, package: &Package) -> Result<Self, ComputeError> {
        let mut reader = Reader {
            session,
            package,
            cache_float: None,
        };
        let mut interface = Self {
            tokens: reader
                .integers_named(&["input_ids"])?
                .ok_or_else(|| reader.no_tokens())?,
            mask: reader.integers_named(&["attention_mask"])?,
            positions: reader.integers_named(&["position_ids"])?,
            rows: reader.integers_named(&[ROWS_INPUT])?,
            logits_to_keep: reader.logits_to_keep()?,
            use_cache_branch: session
                .inputs()
                .iter()
                .any(|input| input.name() == "use_cache_branch"),
            cache: Vec::new(),
            cache_float: Float::F32,
            logits: String::new(),
            logits_float: Float::F32,
            one_row: reader.one_row(),
        };
        for input in session.inputs() {
            if !interface.knows(input.name()) {
                interface.cache.push(reader.cache_tensor(input)?);
            }
        }
        interface.cache_float = reader.cache_float.unwrap_or(Float::F32);
        reader.logits(&mut interface)?;
        Ok(interface)
    }

    fn knows(&self, name: &str) -> bool {
        let integers = [&self.mask, &self.positions, &self.rows];
        self.tokens.name == name
            || integers.into_iter().flatten().any(|known| known.name == name)
            || self
                .logits_to_keep
                .as_ref()
                .is_some_and(|(known, _)| known.name == name)
            || (self.use_cache_branch && name == "use_cache_branch")
    }

    /// Everything but the cache, by the names of the inputs.
    pub(crate) fn inputs(
        &self,
        step: StepInputs,
    ) -> Result<Vec<(Cow<'_, str>, SessionInputValue<'static>)>, ComputeError> {
        let shape = [step.rows, step.columns];
        let mut inputs: Vec<(&str, DynValue)> = Vec::with_capacity(6 + self.cache.len());
        inputs.push((&self.tokens.name, self.tokens.tensor(&shape, step.tokens)?));
        if let Some(mask) = &self.mask {
            inputs.push((&mask.name, mask.tensor(&[step.rows, step.width], step.mask)?));
        }
        if let Some(positions) = &self.positions {
            inputs.push((&positions.name, positions.tensor(&shape, step.positions)?));
        }
        if let Some(rows) = &self.rows {
            inputs.push((&rows.name, rows.tensor(&[step.wanted.len()], step.wanted)?));
        }
        if let Some((keep, rank)) = &self.logits_to_keep {
            inputs.push((&keep.name, keep.tensor(&[1][..*rank], vec![1])?));
        }
        if self.use_cache_branch {
            let flag = Tensor::from_array(([1_usize], vec![step.has_past]))?;
            inputs.push(("use_cache_branch", flag.into_dyn()));
        }
        Ok(inputs
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value.into()))
            .collect())
    }
}

struct Reader<'s> {
    session: &'s Session,
    package: &'s Package,
    cache_float: Option<Float>,
}

impl Reader<'_> {
    fn no_tokens(&self) -> ComputeError {
        let names: Vec<_> = self.session.inputs().iter().map(Outlet::name).take(8).collect();
        ComputeError::Interface(format!("it has no input input_ids, only {}", names.join(", ")))
    }

    fn one_row(&self) -> bool {
        let tokens = self
            .session
            .inputs()
            .iter()
            .find(|input| input.name() == "input_ids");
        tokens
            .and_then(|input| input.dtype().tensor_shape())
            .is_some_and(|shape| shape.first() == Some(&1))
    }

    fn integers_named(&self, names: &[&str]) -> Result<Option<Integers>, ComputeError> {
        let Some(input) = self
            .session
            .inputs()
            .iter()
            .find(|input| names.contains(&input.name()))
        else {
            return Ok(None);
        };
        let element = input.dtype().tensor_type();
        let narrow = element == Some(TensorElementType::Int32);
        if !narrow && element != Some(TensorElementType::Int64) {
            return Err(unknown(input, "whole numbers"));
        }
        Ok(Some(Integers {
            name: input.name().to_owned(),
            narrow,
        }))
    }

    fn logits_to_keep(&self) -> Result<Option<(Integers, usize)>, ComputeError> {
        let Some(integers) = self.integers_named(&["num_logits_to_keep", "logits_to_keep"])? else {
            return Ok(None);
        };
        let input = self
            .session
            .inputs()
            .iter()
            .find(|input| input.name() == integers.name);
        let rank = input
            .and_then(|input| input.dtype().tensor_shape())
            .map_or(0, |shape| shape.len());
        Ok(Some((integers, rank.min(1))))
    }

    fn cache_tensor(&mut self, input: &Outlet) -> Result<CacheTensor, ComputeError> {
        let layout = "keys or values of shape [batch, heads, tokens, size]";
        let name = input.name();
        let is_cache = name.contains("past") && (name.contains("key") || name.contains("value"));
        if !is_cache || name.contains("encoder") {
            return Err(unknown(input, layout));
        }
        let element = input
            .dtype()
            .tensor_type()
            .and_then(Float::of)
            .ok_or_else(|| unknown(input, layout))?;
        if *self.cache_float.get_or_insert(element) != element {
            return Err(unknown(input, "of one element type in all layers"));
        }
        let shape = input.dtype().tensor_shape().filter(|shape| shape.len() == 4);
        let shape = shape.ok_or_else(|| unknown(input, layout))?;
        let config = self.package.config();
        let size_of = |fixed: i64, fallback: Option<u32>| {
            let size = usize::try_from(fixed).ok().or(fallback.map(|size| size as usize));
            size.filter(|size| *size > 0)
                .ok_or_else(|| unknown(input, "of a size the graph or the settings tell"))
        };
        Ok(CacheTensor {
            past: name.to_owned(),
            present: self.present_of(input)?,
            heads: size_of(shape[1], config.key_value_heads)?,
            size: size_of(shape[3], config.head_size)?,
        })
    }

    /// The output that continues a cache input.
    fn present_of(&self, input: &Outlet) -> Result<String, ComputeError> {
        let name = input.name();
        let candidates = [
            name.replacen("past_key_values", "present", 1),
            name.replacen("past_key_values", "present_key_values", 1),
            name.replacen("past", "present", 1),
        ];
        let outputs = self.session.outputs();
        candidates
            .into_iter()
            .find(|candidate| outputs.iter().any(|output| output.name() == candidate))
            .ok_or_else(|| unknown(input, "continued by an output"))
    }

    fn logits(&self, interface: &mut Interface) -> Result<(), ComputeError> {
        let outputs = self.session.outputs();
        let output = outputs
            .iter()
            .find(|output| output.name() == "logits")
            .ok_or_else(|| ComputeError::Interface("it has no output logits".to_owned()))?;
        let float = output.dtype().tensor_type().and_then(Float::of);
        interface.logits_float = float.ok_or_else(|| {
            ComputeError::Interface(format!(
                "its logits are {}, not floating point numbers",
                output.dtype()
            ))
        })?;
        interface.logits = output.name().to_owned();
        Ok(())
    }
}

fn unknown(input: &Outlet, expected: &str) -> ComputeError {
    ComputeError::Interface(format!(
        "its input {} is {}, which is not {expected}; graphs of this kind are not supported",
        input.name(),
        input.dtype()
    ))
}
