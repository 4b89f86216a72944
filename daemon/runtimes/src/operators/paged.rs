//! Attention over a paged cache that the operators and the cache of the engine share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airunner_kernels::Isa;
use airunner_kernels::attention::{
    Append, Attend, AttentionError, Element, Geometry, Options, Pool as Blocks, Rotary, Rows, Scratch,
    Sequence, append, attend,
};
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;
use ort::value::ValueRef;

use super::matmul::required;
use super::pool::Pool;

/// Keys and values of all layers, and which tokens the next run computes. The cache of the engine
/// writes down a step before each run; the operators of the run read it.
pub(crate) struct Paged(Mutex<Inner>);

struct Inner {
    geometries: Vec<Geometry>,
    /// One per layer, of as many blocks each.
    layers: Vec<Blocks>,
    step: Vec<Placed>,
    scratch: Scratch,
}

/// New tokens of a sequence in the next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Row of the first of them among the tokens of the run.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Tokens that the blocks hold already.
    pub(crate) past: usize,
    pub(crate) blocks: Vec<u32>,
}

impl Paged {
    /// Without any blocks yet.
    pub(crate) fn new(geometries: Vec<Geometry>) -> Self {
        Self(Mutex::new(Inner {
            geometries,
            layers: Vec::new(),
            step: Vec::new(),
            scratch: Scratch::default(),
        }))
    }

    /// What its numbers are kept as.
    pub(crate) fn element(&self) -> Option<Element> {
        self.inner().geometries.first().map(Geometry::element)
    }

    /// Bytes of a block of all layers.
    pub(crate) fn block_bytes(&self) -> usize {
        self.inner().geometries.iter().map(Geometry::block_bytes).sum()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all memory by so many empty blocks. Untouched ones take none.
    pub(crate) fn allocate(&self, blocks: usize) -> Result<(), AttentionError> {
        let mut inner = self.inner();
        inner.layers = Vec::new();
        let made = inner
            .geometries
            .iter()
            .map(|geometry| Blocks::new(*geometry, blocks));
        let layers = made.collect::<Result<_, _>>()?;
        inner.layers = layers;
        Ok(())
    }

    /// Copies the tokens of a block over those of another, in all layers.
    pub(crate) fn copy_block(&self, from: u32, to: u32) -> Result<(), AttentionError> {
        self.inner()
            .layers
            .iter_mut()
            .try_for_each(|layer| layer.copy_block(from, to))
    }

    /// Gives back the memory of blocks whose tokens nobody needs.
    pub(crate) fn give_back(&self, blocks: &[u32]) {
        for layer in &mut self.inner().layers {
            blocks.iter().for_each(|&block| layer.give_back(block));
        }
    }

    /// What decides the form of a block.
    pub(crate) fn form(&self) -> String {
        format!("{:?}", self.inner().geometries)
    }

    /// Appends what a block holds in all layers, the first first; false if it is not there.
    pub(crate) fn read_block(&self, block: u32, bytes: &mut Vec<u8>) -> bool {
        let inner = self.inner();
        let mut read = |layer: &Blocks| layer.block(block).map(|held| bytes.extend_from_slice(held));
        !inner.layers.is_empty() && inner.layers.iter().map(&mut read).all(|read| read.is_some())
    }

    /// Makes a block hold what [`read_block`](Self::read_block) gave; false if it does not fit.
    pub(crate) fn write_block(&self, block: u32, mut bytes: &[u8]) -> bool {
        let mut inner = self.inner();
        for layer in &mut inner.layers {
            let Some(place) = layer.block_mut(block) else {
                return false;
            };
            let Some((held, rest)) = bytes.split_at_checked(place.len()) else {
                return false;
            };
            place.copy_from_slice(held);
            bytes = rest;
        }
        bytes.is_empty()
    }

    /// What the next run computes, in the order of its rows.
    pub(crate) fn set_step(&self, step: Vec<Placed>) {
        self.inner().step = step;
    }
}

/// Attention of `airunner:PagedAttention`: query, or query, key and value side by side, key, value,
/// cosines, sines and sinks, all float32; output [.., heads * size].
pub(super) struct PagedAttention {
    pub(super) paged: Arc<Paged>,
    pub(super) isa: Isa,
    pub(super) pool: Arc<Pool>,
}

pub(super) struct Layer {
    paged: Arc<Paged>,
    isa: Isa,
    pool: Arc<Pool>,
    layer: usize,
    geometry: Geometry,
    scale: f32,
    softcap: Option<f32>,
    window: Option<usize>,
    is_rotary: bool,
    is_interleaved: bool,
    /// Zeros, where the graph asks for a smooth softmax without sinks of its own.
    smooth: Option<Vec<f32>>,
}

impl Operator for PagedAttention {
    type Kernel<'k> = Layer;

    fn name(&self) -> &'static str {
        "PagedAttention"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let optional = || OperatorInput::optional(Float32);
        [
            OperatorInput::required(Float32),
            optional(),
            optional(),
            optional(),
            optional(),
            optional(),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel(&self, node: &KernelContext<'_>) -> ort::Result<Layer> {
        let integer = |name: &str| {
            let value: Option<i64> = node.get(name);
            value.ok_or_else(|| ort::Error::new(format!("a node of attention has no attribute {name}")))
        };
        let float = |name: &str| node.get::<f32>(name).filter(|number| *number != 0.0);
        let layer = usize::try_from(integer("layer")?).unwrap_or(usize::MAX);
        let geometry = self.paged.inner().geometries.get(layer).copied();
        let geometry =
            geometry.ok_or_else(|| ort::Error::new(format!("there is no layer {layer} of attention")))?;
        let expected = [
            ("query_heads", geometry.query_heads()),
            ("key_value_heads", geometry.key_value_heads()),
            ("head_size", geometry.head_size()),
        ];
        for (name, size) in expected {
            if usize::try_from(integer(name)?) != Ok(size) {
                return Err(ort::Error::new(format!(
                    "layer {layer} of attention has another {name} than its cache"
                )));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "the size of a head")]
        let usual = 1.0 / (geometry.head_size() as f32).sqrt();
        let smooth = integer("smooth_softmax")? != 0;
        Ok(Layer {
            paged: Arc::clone(&self.paged),
            isa: self.isa,
            pool: Arc::clone(&self.pool),
            layer,
            geometry,
            scale: float("scale").unwrap_or(usual),
            softcap: float("softcap"),
            window: usize::try_from(integer("window")?)
                .ok()
                .filter(|window| *window > 0),
            is_rotary: integer("rotary")? != 0,
            is_interleaved: integer("interleaved")? != 0,
            smooth: smooth.then(|| vec![0.0; geometry.query_heads()]),
        })
    }
}

impl Layer {
    fn rotary<'t>(&self, cos: &'t Table<'_>, sin: &'t Table<'_>) -> ort::Result<Option<Rotary<'t>>> {
        if !self.is_rotary {
            return Ok(None);
        }
        let (Some((shape, cos)), Some((_, sin))) = (cos.read()?, sin.read()?) else {
            return Err(ort::Error::new(
                "attention that rotates has no tables to rotate by",
            ));
        };
        let half = shape
            .last()
            .and_then(|half| usize::try_from(*half).ok())
            .unwrap_or(0);
        Ok(Some(Rotary {
            cos,
            sin,
            dimensions: 2 * half,
            interleaved: self.is_interleaved,
        }))
    }
}

impl Kernel for Layer {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let query = required(context, 0)?;
        let (shape, query) = query.try_extract_tensor::<f32>()?;
        let optional = |place| context.input(place).map(Table);
        let (key, value) = (optional(1)?, optional(2)?);
        let (cos, sin, sinks) = (optional(3)?, optional(4)?, optional(5)?);
        let size = self.geometry.head_size();
        let (width, narrow) = (
            self.geometry.query_heads() * size,
            self.geometry.key_value_heads() * size,
        );
        let mut shape = shape.to_vec();
        let stride = shape
            .last()
            .and_then(|last| usize::try_from(*last).ok())
            .unwrap_or(0);
        let (keys, values) = match (key.read()?, value.read()?) {
            (Some((_, keys)), Some((_, values))) if stride == width => {
                (rows(keys, narrow), rows(values, narrow))
            }
            (None, None) if stride == width + 2 * narrow => (
                rows(query.get(width..).unwrap_or(&[]), stride),
                rows(query.get(width + narrow..).unwrap_or(&[]), stride),
            ),
            _ => {
                return Err(ort::Error::new(
                    "queries, keys and values of attention are of other sizes than its heads",
                ));
            }
        };
        let tokens: i64 = shape.iter().rev().skip(1).product();
        let rotary = self.rotary(&cos, &sin)?;
        let sinks = sinks.read()?.map(|(_, sinks)| sinks);
        let options = Options {
            scale: self.scale,
            softcap: self.softcap,
            window: self.window,
            sinks: sinks.or(self.smooth.as_deref()),
        };
        if let Some(last) = shape.last_mut() {
            *last = width as i64;
        }
        let mut output = context
            .output(0, shape)?
            .ok_or_else(|| ort::Error::new("attention has no place for its result"))?;
        let (_, out) = output.try_extract_tensor_mut::<f32>()?;
        let pool = &*self.pool;
        let mut inner = self.paged.inner();
        let Inner {
            layers,
            step,
            scratch,
            ..
        } = &mut *inner;
        // Rows that belong to nobody would be whatever the memory held before.
        check_step(step, usize::try_from(tokens).unwrap_or(usize::MAX)).map_err(ort::Error::new)?;
        let blocks = layers
            .get_mut(self.layer)
            .ok_or_else(|| ort::Error::new("attention has no memory for keys and values"))?;
        let sequences: Vec<Sequence<'_>> = step.iter().map(Placed::sequence).collect();
        let new = Append {
            sequences: &sequences,
            keys,
            values,
            rotary,
        };
        append(blocks, &new, self.isa, pool).map_err(failed)?;
        let call = Attend {
            sequences: &sequences,
            queries: rows(query, stride),
            rotary,
            options,
        };
        attend(blocks, &call, out, scratch, self.isa, pool).map_err(failed)
    }
}

/// That the sequences of a step have all rows of the run between them, in order.
fn check_step(step: &[Placed], tokens: usize) -> Result<(), String> {
    let mut rows = 0_usize;
    for placed in step {
        if placed.first_row != rows {
            return Err(format!(
                "a sequence begins at row {} of its step, where row {rows} is the next",
                placed.first_row
            ));
        }
        rows = rows.saturating_add(placed.rows);
    }
    if rows == tokens {
        Ok(())
    } else {
        Err(format!(
            "attention got {tokens} tokens in a step of {rows}: the graph changes how many there are"
        ))
    }
}

impl Placed {
    fn sequence(&self) -> Sequence<'_> {
        Sequence {
            first_row: self.first_row,
            rows: self.rows,
            past: self.past,
            blocks: &self.blocks,
        }
    }
}

fn rows(numbers: &[f32], stride: usize) -> Rows<'_> {
    Rows { numbers, stride }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: AttentionError) -> ort::Error {
    ort::Error::new(error.to_string())
}

/// An input that a node may lack.
struct Table<'c>(Option<ValueRef<'c>>);

impl Table<'_> {
    fn read(&self) -> ort::Result<Option<(&ort::value::Shape, &[f32])>> {
        self.0
            .as_ref()
            .map(|value| value.try_extract_tensor::<f32>())
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_run_belongs_to_a_sequence() {
        let placed = |first_row, rows| Placed {
            first_row,
            rows,
            past: 0,
            blocks: Vec::new(),
        };
        for (step, tokens, refusal) in [
            (vec![placed(0, 3), placed(3, 1)], 4, None),
            (vec![], 0, None),
            (vec![], 1, Some("1 tokens in a step of 0")),
            (vec![placed(0, 3)], 4, Some("4 tokens in a step of 3")),
            (vec![placed(0, 3)], 2, Some("2 tokens in a step of 3")),
            (vec![placed(1, 3)], 4, Some("begins at row 1")),
            (vec![placed(0, 2), placed(3, 1)], 4, Some("begins at row 3")),
            (vec![placed(0, 2), placed(1, 2)], 4, Some("begins at row 1")),
        ] {
            let checked = check_step(&step, tokens);
            match refusal {
                None => assert_eq!(checked, Ok(()), "{step:?}"),
                Some(reason) => assert!(checked.unwrap_err().contains(reason), "{step:?}"),
            }
        }
    }
}
