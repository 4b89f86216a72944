//! Our operator for products beside ONNX Runtime's own, both with activations of 8 bits.

use std::sync::Arc;

use airunner_kernels::Isa;
use half::{bf16, f16};

use super::*;
use crate::llm::threads::Share;
use crate::operators::paged::Paged;
use crate::operators::pool::Pool;
use crate::operators::weights::Weights;
use crate::operators::{Shared, domain};

/// How far the results may be apart, as a part of their size: each rounds activations to steps of
/// its own, a 127th of the greatest of a block or of a group of blocks, which is 0.4 percent for
/// each of the two.
const BOUND: f64 = 0.012;
/// What results of 16 bits add.
const BOUND_OF_HALVES: f64 = 0.005;

const ROWS: usize = 48;

/// One product.
#[derive(Clone, Copy, Debug)]
struct Case {
    bits: usize,
    block: usize,
    columns: usize,
    has_points: bool,
    tokens: usize,
    /// Of scales and activations.
    dtype: i64,
}

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// From -1 to 1, in few enough bits for every type.
    fn float(&mut self) -> f32 {
        (self.next() % 255) as f32 / 128.0 - 0.9921875
    }
}

impl Case {
    fn blocks(&self) -> usize {
        self.columns.div_ceil(self.block)
    }

    fn tensors(&self) -> [TensorProto; 3] {
        let mut numbers = Numbers(self.block as u64 + 7 * self.bits as u64);
        let tensor = |name: &str, dims: Vec<usize>, dtype, raw: Vec<u8>| TensorProto {
            name: name.to_owned(),
            dims: dims.into_iter().map(|size| size as i64).collect(),
            data_type: dtype as i32,
            raw_data: Some(raw.into()),
            ..TensorProto::default()
        };
        let blob = self.block * self.bits / 8;
        let mut bytes = |count: usize| (0..count).map(|_| numbers.next() as u8).collect::<Vec<u8>>();
        let weights = bytes(ROWS * self.blocks() * blob);
        let of_points = (self.blocks() * self.bits).div_ceil(8);
        let points = bytes(ROWS * of_points);
        let scales = (0..ROWS * self.blocks()).map(|_| 0.02 + numbers.float() / 64.0);
        // The same number in every type.
        let scales: Vec<bf16> = scales.map(bf16::from_f32).collect();
        let scales = scales.iter().flat_map(|scale| self.bytes_of(scale.to_f32()));
        [
            tensor("w", vec![ROWS, self.blocks(), blob], dtype::UINT8, weights),
            tensor("s", vec![ROWS, self.blocks()], self.dtype, scales.collect()),
            tensor("p", vec![ROWS, of_points], dtype::UINT8, points),
        ]
    }

    fn bytes_of(&self, number: f32) -> Vec<u8> {
        match self.dtype {
            dtype::FLOAT16 => f16::from_f32(number).to_le_bytes().to_vec(),
            dtype::BFLOAT16 => bf16::from_f32(number).to_le_bytes().to_vec(),
            _ => number.to_le_bytes().to_vec(),
        }
    }

    fn model(&self) -> ModelProto {
        let Self {
            bits, block, columns, ..
        } = self;
        let points = if self.has_points { ", p" } else { "" };
        let product = format!(
            "ms.MatMulNBits(a, w, s{points}) {{K={columns}, N={ROWS}, bits={bits}, block_size={block}, \
             accuracy_level=4}}"
        );
        let text = format!(
            "input x f32[1,T,{columns}]
            output y f32[1,T,{ROWS}]
            a = Cast(x) {{to={dtype}}}
            b = {product}
            y = Cast(b) {{to=1}}",
            dtype = self.dtype
        );
        let mut model = testing::model(&text);
        let [weights, scales, zero_points] = self.tensors();
        let initializers = &mut model.graph.as_mut().unwrap().initializer;
        initializers.extend([weights, scales]);
        initializers.extend(self.has_points.then_some(zero_points));
        model
    }

    fn input(&self) -> Vec<f32> {
        let mut numbers = Numbers(3);
        (0..self.tokens * self.columns).map(|_| numbers.float()).collect()
    }

    fn run(&self, mut session: Session) -> Vec<f32> {
        let shape = [1, self.tokens, self.columns];
        let input = Tensor::from_array((shape, self.input())).unwrap();
        let outputs = session.run(vec![("x", SessionInputValue::from(input))]).unwrap();
        outputs["y"].try_extract_tensor::<f32>().unwrap().1.to_vec()
    }

    /// By ONNX Runtime, which has no kernel for every type: in 32 bits, of the same numbers.
    fn theirs(&self) -> Vec<f32> {
        let exact = Self {
            dtype: dtype::FLOAT,
            ..*self
        };
        let package = tempfile::tempdir().unwrap();
        let path = package.path().join("model.onnx");
        fs::write(&path, exact.model().encode_to_vec()).unwrap();
        let builder = Session::builder(environment()).unwrap();
        let session = builder.with_intra_threads(1).unwrap().commit_from_file(path);
        exact.run(session.unwrap())
    }

    fn ours(&self, isa: Isa) -> Vec<f32> {
        let (package, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(package.path().join("model.onnx"), self.model().encode_to_vec()).unwrap();
        let files = Files::open(package.path()).unwrap();
        let rewritten = rewrite(&files, "model.onnx", &[Pass::MatMul], None).unwrap();
        assert_eq!(rewritten.applied, ["matmul"], "{:?}", rewritten.skipped);
        packing::pack(&rewritten.plan.packs, &files, made.path(), 1).unwrap();
        rewritten.write(made.path()).unwrap();
        let weights = Arc::new(Weights::open(made.path(), 1).unwrap());
        let pool = Arc::new(Pool::new(Arc::new(Share::of(1))).unwrap());
        let shared = Shared::new(weights, Arc::new(Paged::new(Vec::new())), isa, pool);
        let builder = Session::builder(environment()).unwrap();
        let session = builder
            .with_operators(domain(&shared).unwrap())
            .unwrap()
            .commit_from_file(made.path().join(GRAPH_FILE));
        self.run(session.unwrap())
    }
}

/// Root mean square of the differences, as a part of that of the first.
fn apart(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let square = |number: f32| f64::from(number).powi(2);
    let pairs = expected.iter().zip(found);
    let difference: f64 = pairs.map(|(one, other)| square(one - other)).sum();
    (difference / expected.iter().copied().map(square).sum::<f64>()).sqrt()
}

fn check(case: Case) {
    let expected = case.theirs();
    let bound = if case.dtype == dtype::FLOAT {
        BOUND
    } else {
        BOUND + BOUND_OF_HALVES
    };
    for isa in Isa::available() {
        let off = apart(&expected, &case.ours(isa));
        assert!(off < bound, "{case:?} {isa}: {off}");
    }
}

#[test]
fn products_are_those_of_onnx_runtimes_own_operator() {
    for bits in [4, 8] {
        for block in [16, 32, 64, 128, 256] {
            for has_points in [false, true] {
                // Of which the second is no multiple of any block.
                for (columns, tokens) in [(512, 1), (300, 5), (40, 17)] {
                    check(Case {
                        bits,
                        block,
                        columns,
                        has_points,
                        tokens,
                        dtype: dtype::FLOAT,
                    });
                }
            }
        }
    }
}

#[test]
fn products_with_scales_of_16_bits_are_those_of_the_same_numbers() {
    for dtype in [dtype::FLOAT16, dtype::BFLOAT16] {
        for (bits, block) in [(4, 32), (4, 128), (8, 32), (8, 256)] {
            for (has_points, columns, tokens) in [(false, 256, 1), (true, 300, 5)] {
                check(Case {
                    bits,
                    block,
                    columns,
                    has_points,
                    tokens,
                    dtype,
                });
            }
        }
    }
}
