//! Nodes that compute with full precision, replaced by those of ONNX Runtime that do not.

use std::collections::{HashMap, HashSet};

use super::blocks::Grid;
use super::stream::{Span, Stored};
use crate::graph::edit::{Build, Edits, Graph, Widened, narrowed};
use crate::graph::full_precision::{FullPrecision, Use};
use crate::graph::proto::TensorProto;
use crate::graph::write::outside;
use crate::onnx::dtype;

/// ONNX Runtime computes products with 8-bit activations.
const ACCURACY_LEVEL: i64 = 4;

/// A matrix, how it is kept, and where.
pub(super) struct Target {
    pub(super) matrix: FullPrecision,
    pub(super) grid: Grid,
    /// Which of the stored ones it reads: several may read the same.
    pub(super) stored: usize,
}

/// Puts the quantized operators in place; the names of the tensors that they brought.
pub(super) fn rewrite(graph: &mut Graph, targets: &[Target], stored: &[Stored]) -> HashSet<String> {
    let mut rewrite = Rewrite {
        stored,
        edits: Edits::default(),
        tensors: HashMap::new(),
        brought: HashSet::new(),
    };
    graph.import_microsoft();
    for target in targets {
        match target.matrix.use_ {
            Use::Product => rewrite.product(graph, target),
            Use::Rows => rewrite.table(graph, target),
        }
    }
    let Rewrite { edits, brought, .. } = rewrite;
    graph.apply(edits);
    brought
}

struct Rewrite<'s> {
    stored: &'s [Stored],
    edits: Edits,
    /// Tensors by where they lie and their shape: what is read twice is named once.
    tensors: HashMap<(u64, Vec<i64>), String>,
    brought: HashSet<String>,
}

impl Rewrite<'_> {
    fn product(&mut self, graph: &mut Graph, target: &Target) {
        let Target { matrix, grid, .. } = target;
        let blocks = grid.blocks(matrix.columns as usize);
        let per_block = grid.block * grid.bits as usize / 8;
        let shape = [matrix.rows as usize, blocks, per_block];
        let [weights, scales, zero_points] = self.operands(graph, target, &shape);
        let input = Widened::default().get(
            graph,
            &mut self.edits,
            matrix.node,
            &matrix.input,
            of_cast(matrix.dtype),
        );
        let (output, cast) = narrowed(graph, &matrix.output, of_cast(matrix.dtype));
        let (product, sum) = match &matrix.bias {
            None => (output, None),
            Some(bias) => {
                let product = graph.fresh(&matrix.output);
                // Of the type that is computed with, as the product is.
                let bias =
                    Widened::default().get(graph, &mut self.edits, matrix.node, bias, of_cast(matrix.dtype));
                let sum = Build::standard("Add")
                    .input(&product)
                    .input(&bias)
                    .output(&output);
                (product, Some(sum))
            }
        };
        let node = Build::microsoft("MatMulNBits")
            .inputs(&[
                Some(&input),
                weights.as_deref(),
                scales.as_deref(),
                zero_points.as_deref(),
            ])
            .integer("K", matrix.columns.cast_signed())
            .integer("N", matrix.rows.cast_signed())
            .integer("bits", i64::from(grid.bits))
            .integer("block_size", grid.block as i64)
            .integer("accuracy_level", ACCURACY_LEVEL)
            .output(&product);
        self.edits.remove([matrix.node]);
        self.edits
            .put_before(matrix.node, [Some(node), sum, cast].into_iter().flatten());
    }

    fn table(&mut self, graph: &mut Graph, target: &Target) {
        let Target { matrix, grid, .. } = target;
        let shape = [matrix.rows as usize, grid.weight_bytes(matrix.columns as usize)];
        let [table, scales, zero_points] = self.operands(graph, target, &shape);
        let (output, cast) = narrowed(graph, &matrix.output, of_cast(matrix.dtype));
        let node = Build::microsoft("GatherBlockQuantized")
            .inputs(&[
                table.as_deref(),
                Some(&matrix.input),
                scales.as_deref(),
                zero_points.as_deref(),
            ])
            .integer("gather_axis", 0)
            .integer("quantize_axis", 1)
            .integer("bits", i64::from(grid.bits))
            .integer("block_size", grid.block as i64)
            .output(&output);
        self.edits
            .replace(matrix.node, [Some(node), cast].into_iter().flatten());
    }

    /// Weights, scales and zero points as initializers.
    fn operands(&mut self, graph: &mut Graph, target: &Target, shape: &[usize]) -> [Option<String>; 3] {
        let Target { matrix, grid, stored } = target;
        let stored = self.stored[*stored];
        let rows = matrix.rows as usize;
        let columns = matrix.columns as usize;
        let float = if grid.has_half_scales {
            dtype::FLOAT16
        } else {
            dtype::FLOAT
        };
        let base = &matrix.tensor;
        let scales = [rows, grid.blocks(columns)];
        let zero_points = [rows, grid.zero_point_bytes(columns)];
        [
            Some(self.tensor(
                graph,
                &format!("{base}_q{}", grid.bits),
                dtype::UINT8,
                shape,
                stored.weights,
            )),
            Some(self.tensor(graph, &format!("{base}_scales"), float, &scales, stored.scales)),
            stored.zero_points.map(|span| {
                self.tensor(
                    graph,
                    &format!("{base}_zero_points"),
                    dtype::UINT8,
                    &zero_points,
                    span,
                )
            }),
        ]
    }

    fn tensor(&mut self, graph: &mut Graph, base: &str, dtype: i64, shape: &[usize], span: Span) -> String {
        let dims: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let key = (span.offset, dims);
        if let Some(name) = self.tensors.get(&key) {
            return name.clone();
        }
        let name = graph.fresh(base);
        graph.add_initializer(external(&name, dtype, key.1.clone(), span));
        self.brought.insert(name.clone());
        self.tensors.insert(key, name.clone());
        name
    }
}

fn external(name: &str, dtype: i64, dims: Vec<i64>, span: Span) -> TensorProto {
    let mut tensor = TensorProto {
        dims,
        data_type: dtype as i32,
        name: name.to_owned(),
        ..TensorProto::default()
    };
    outside(&mut tensor, span.offset, span.length);
    tensor
}

/// The type between which and 32-bit floats has to be converted, if any: on a processor ONNX
/// Runtime has no kernels for bfloat16.
fn of_cast(dtype: i64) -> i64 {
    if dtype == dtype::BFLOAT16 {
        dtype
    } else {
        dtype::FLOAT
    }
}

/// A tensor that was written with half precision.
pub(super) struct Halved {
    pub(super) tensor: String,
    pub(super) dtype: i64,
    pub(super) dimensions: Vec<u64>,
    pub(super) span: Span,
}

/// Keeps tensors with half precision and converts them before they are read; the names of the
/// tensors that this brought.
pub(super) fn halve(graph: &mut Graph, halved: &[Halved]) -> HashSet<String> {
    let mut edits = Edits::default();
    let mut brought = HashSet::new();
    for one in halved {
        let kept = graph.fresh(&one.tensor);
        if graph.take_initializer(&one.tensor).is_none() {
            continue;
        }
        let dims = one.dimensions.iter().map(|&size| size as i64).collect();
        graph.add_initializer(external(&kept, dtype::FLOAT16, dims, one.span));
        edits.put_before(0, [Build::cast(&kept, &one.tensor, one.dtype)]);
        brought.insert(kept);
    }
    graph.apply(edits);
    brought
}
