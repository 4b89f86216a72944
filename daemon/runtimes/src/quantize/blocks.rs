//! Rows of a matrix as whole numbers with a scale, and perhaps a zero point, per block.
//!
//! The layout is that of `MatMulNBits` and `GatherBlockQuantized` of ONNX Runtime: the numbers of
//! a row one after the other, the low bits of a byte first; every block begins at a byte, the last
//! one filled up. A weight is `(number - zero point) * scale`. The scale is searched for: with the
//! numbers given, the scale of least squared error is `sum(w d) / sum(d d)`, where `d` is the
//! number less the zero point, and it leaves `sum(w w) - sum(w d)^2 / sum(d d)`.

use half::f16;

const LARGEST_BLOCK: usize = 256;
/// Sums that are kept side by side, so that they are added by vector instructions.
const LANES: usize = 16;
/// A float this large has no digits behind the point: adding and subtracting it rounds.
const ROUNDS: f32 = 12_582_912.0;
/// Scales that are tried, as parts of the one that reaches the largest weight.
const SHRUNK: [f32; 10] = [1.04, 1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.81, 0.76, 0.7];
/// The same without zero points, where most of the range of the other sign may be empty.
const SHRUNK_AROUND_ZERO: [f32; 18] = [
    1.09, 1.06, 1.03, 1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.76, 0.73, 0.7, 0.67, 0.64, 0.61, 0.58,
];
/// With 8 bits nothing is gained by cutting off more.
const HARDLY_SHRUNK: [f32; 3] = [1.0, 0.995, 0.99];
/// Zero points that are tried on either side of the one in the middle of the weights.
const ZERO_POINTS: f32 = 2.0;
/// Times that numbers and scale are fitted to each other at the end.
const REFITS: usize = 2;

/// How the weights of a matrix are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// 2, 4 or 8.
    pub bits: u32,
    /// Weights that share a scale: a power of two from 16 to 256.
    pub block: usize,
    /// Otherwise the zero point is half of the largest number.
    pub has_zero_points: bool,
    /// Scales are kept as 16-bit floats.
    pub has_half_scales: bool,
}

impl Grid {
    /// Blocks of a row.
    #[must_use]
    pub fn blocks(&self, columns: usize) -> usize {
        columns.div_ceil(self.block)
    }

    /// Bytes of a row's numbers.
    #[must_use]
    pub fn weight_bytes(&self, columns: usize) -> usize {
        self.blocks(columns) * self.block * self.bits as usize / 8
    }

    /// Bytes of a row's zero points.
    #[must_use]
    pub fn zero_point_bytes(&self, columns: usize) -> usize {
        if self.has_zero_points {
            (self.blocks(columns) * self.bits as usize).div_ceil(8)
        } else {
            0
        }
    }

    fn largest(&self) -> f32 {
        ((1_u32 << self.bits) - 1) as f32
    }

    fn middle(&self) -> f32 {
        (1_u32 << (self.bits - 1)) as f32
    }

    /// The scale as it is kept.
    fn kept(&self, scale: f32) -> f32 {
        if self.has_half_scales {
            f16::from_f32(scale).to_f32()
        } else {
            scale
        }
    }
}

/// Where a row goes.
pub struct Row<'o> {
    pub weights: &'o mut [u8],
    /// One per block.
    pub scales: &'o mut [f32],
    /// Empty without zero points.
    pub zero_points: &'o mut [u8],
}

/// What was lost: sums of squares of the weights and of their errors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    pub squares: f64,
    pub errors: f64,
}

impl Loss {
    /// Root of the mean squared error, as a part of that of the weights.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.squares > 0.0 {
            (self.errors / self.squares).sqrt()
        } else {
            0.0
        }
    }

    pub fn add(&mut self, other: Self) {
        self.squares += other.squares;
        self.errors += other.errors;
    }
}

/// A weight that is no number, or too large for the scale's type: where in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadWeight(pub usize);

/// Quantizes one row.
pub fn quantize_row(values: &[f32], grid: &Grid, row: Row<'_>) -> Result<Loss, BadWeight> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the instructions are known to be there")]
        // SAFETY: the processor has AVX2.
        return unsafe { with_avx2(values, grid, row) };
    }
    quantize(values, grid, row)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(values: &[f32], grid: &Grid, row: Row<'_>) -> Result<Loss, BadWeight> {
    quantize(values, grid, row)
}

#[inline(always)]
fn quantize(values: &[f32], grid: &Grid, row: Row<'_>) -> Result<Loss, BadWeight> {
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        return Err(BadWeight(place));
    }
    row.zero_points.fill(0);
    let mut loss = Loss::default();
    let bytes = grid.block * grid.bits as usize / 8;
    let packed = row.weights.chunks_exact_mut(bytes);
    for (number, (block, packed)) in values.chunks(grid.block).zip(packed).enumerate() {
        let fit = fit(block, grid);
        if !fit.scale.is_finite() {
            return Err(BadWeight(number * grid.block));
        }
        loss.add(pack(block, grid, &fit, packed));
        row.scales[number] = fit.scale;
        if grid.has_zero_points {
            let place = number * grid.bits as usize;
            row.zero_points[place / 8] |= (fit.zero_point as u8) << (place % 8);
        }
    }
    Ok(loss)
}

/// Scale and zero point of a block.
#[derive(Clone, Copy, Debug)]
struct Fit {
    scale: f32,
    zero_point: f32,
}

impl Fit {
    /// What a number less the zero point can be.
    #[inline(always)]
    fn bounds(&self, grid: &Grid) -> (f32, f32) {
        (-self.zero_point, grid.largest() - self.zero_point)
    }
}

/// The best that was found, and how much of the squares it explains.
struct Search<'b> {
    block: &'b [f32],
    grid: &'b Grid,
    best: Fit,
    explained: f32,
}

impl Search<'_> {
    #[inline(always)]
    fn attempt(&mut self, candidate: Fit) {
        let (products, squares) = sums(self.block, candidate, self.grid);
        if squares > 0.0 && products * products > self.explained * squares {
            self.explained = products * products / squares;
            self.best = Fit {
                scale: products / squares,
                ..candidate
            };
        }
    }
}

#[inline(always)]
fn fit(block: &[f32], grid: &Grid) -> Fit {
    let nothing = Fit {
        scale: 1.0,
        zero_point: grid.middle(),
    };
    let (low, high) = extent(block);
    let range = high.max(-low);
    let inverse = 1.0 / range;
    // A block of zeros, or of what is too small to divide by.
    if !inverse.is_finite() {
        return nothing;
    }
    // Around one, so that no square is too large or too small for a float.
    let mut scaled = [0.0_f32; LARGEST_BLOCK];
    for (scaled, &value) in scaled.iter_mut().zip(block) {
        *scaled = value * inverse;
    }
    let (low, high) = (low * inverse, high * inverse);
    let mut search = Search {
        block: &scaled[..block.len()],
        grid,
        best: nothing,
        explained: 0.0,
    };
    let shrunk: &[f32] = match (grid.bits, grid.has_zero_points) {
        (8, _) => &HARDLY_SHRUNK,
        (_, true) => &SHRUNK,
        (_, false) => &SHRUNK_AROUND_ZERO,
    };
    if grid.has_zero_points {
        let scale = (high - low) / grid.largest();
        let middle = rounded(-low / scale);
        let spread = if grid.bits == 8 { 0.0 } else { ZERO_POINTS };
        let mut zero_point = (middle - spread).max(0.0);
        while zero_point <= (middle + spread).min(grid.largest()) {
            for part in shrunk {
                search.attempt(Fit {
                    scale: scale * part,
                    zero_point,
                });
            }
            zero_point += 1.0;
        }
    } else {
        // There is one number more below the zero point than above: either end may have it.
        let zero_point = grid.middle();
        let scale = high.max(-low) / zero_point;
        for part in shrunk {
            for scale in [scale * part, -scale * part] {
                search.attempt(Fit { scale, zero_point });
            }
        }
    }
    for _ in 0..REFITS {
        search.attempt(search.best);
    }
    let scale = grid.kept(search.best.scale * range);
    if scale == 0.0 {
        // Too small for the type of the scales: zeros, whatever the scale.
        return Fit {
            scale: 1.0,
            zero_point: search.best.zero_point,
        };
    }
    Fit { scale, ..search.best }
}

/// The smallest and the largest weight, and zero.
#[inline(always)]
fn extent(block: &[f32]) -> (f32, f32) {
    let larger = |most: f32, &value: &f32| if value > most { value } else { most };
    let smaller = |least: f32, &value: &f32| if value < least { value } else { least };
    (block.iter().fold(0.0, smaller), block.iter().fold(0.0, larger))
}

#[inline(always)]
fn rounded(value: f32) -> f32 {
    (value + ROUNDS) - ROUNDS
}

/// The number of a weight, less the zero point.
#[inline(always)]
fn number(value: f32, inverse: f32, low: f32, high: f32) -> f32 {
    let exact = value * inverse;
    let bounded = if exact > low { exact } else { low };
    rounded(if bounded < high { bounded } else { high })
}

/// `sum(w d)` and `sum(d d)`.
#[inline(always)]
fn sums(block: &[f32], fit: Fit, grid: &Grid) -> (f32, f32) {
    let inverse = 1.0 / fit.scale;
    let (low, high) = fit.bounds(grid);
    let (mut products, mut squares) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let number = number(chunk[lane], inverse, low, high);
            products[lane] += chunk[lane] * number;
            squares[lane] += number * number;
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        let number = number(value, inverse, low, high);
        products[lane] += value * number;
        squares[lane] += number * number;
    }
    (products.iter().sum(), squares.iter().sum())
}

#[inline(always)]
fn pack(block: &[f32], grid: &Grid, fit: &Fit, packed: &mut [u8]) -> Loss {
    let inverse = 1.0 / fit.scale;
    let (low, high) = fit.bounds(grid);
    let mut numbers = [fit.zero_point as u8; LARGEST_BLOCK];
    let (mut squares, mut errors) = (0.0_f64, 0.0_f64);
    for (&value, kept) in block.iter().zip(&mut numbers) {
        let number = number(value, inverse, low, high);
        *kept = (number + fit.zero_point) as u8;
        let error = f64::from(value - number * fit.scale);
        squares += f64::from(value) * f64::from(value);
        errors += error * error;
    }
    let per_byte = 8 / grid.bits as usize;
    let bits = grid.bits;
    for (byte, numbers) in packed.iter_mut().zip(numbers.chunks_exact(per_byte)) {
        *byte = numbers.iter().rev().fold(
            0,
            |byte, &number| if bits == 8 { number } else { byte << bits | number },
        );
    }
    Loss { squares, errors }
}

/// The weights of a row as they are computed with.
#[cfg(test)]
pub(super) fn restored(
    columns: usize,
    grid: &Grid,
    weights: &[u8],
    scales: &[f32],
    zero_points: &[u8],
) -> Vec<f32> {
    let bits = grid.bits as usize;
    let at = |bytes: &[u8], place: usize| {
        let bit = place * bits;
        let mask = ((1_u32 << grid.bits) - 1) as u8;
        f32::from(bytes[bit / 8] >> (bit % 8) & mask)
    };
    (0..columns)
        .map(|column| {
            let block = column / grid.block;
            let zero_point = if grid.has_zero_points {
                at(zero_points, block)
            } else {
                grid.middle()
            };
            (at(weights, column) - zero_point) * scales[block]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(bits: u32, block: usize, has_zero_points: bool) -> Grid {
        Grid {
            bits,
            block,
            has_zero_points,
            has_half_scales: false,
        }
    }

    struct Packed {
        weights: Vec<u8>,
        scales: Vec<f32>,
        zero_points: Vec<u8>,
        loss: Loss,
    }

    fn packed(values: &[f32], grid: &Grid) -> Result<Packed, BadWeight> {
        let mut weights = vec![0; grid.weight_bytes(values.len())];
        let mut scales = vec![0.0; grid.blocks(values.len())];
        let mut zero_points = vec![0; grid.zero_point_bytes(values.len())];
        let row = Row {
            weights: &mut weights,
            scales: &mut scales,
            zero_points: &mut zero_points,
        };
        let loss = quantize_row(values, grid, row)?;
        Ok(Packed {
            weights,
            scales,
            zero_points,
            loss,
        })
    }

    fn round_trip(values: &[f32], grid: &Grid) -> (Vec<f32>, Packed) {
        let packed = packed(values, grid).unwrap();
        let Packed {
            weights,
            scales,
            zero_points,
            ..
        } = &packed;
        (restored(values.len(), grid, weights, scales, zero_points), packed)
    }

    /// Normally distributed, the same in every run.
    fn gaussian(count: usize) -> Vec<f32> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count)
            .map(|_| {
                let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
                (radius * (std::f64::consts::TAU * uniform()).cos() * 0.02) as f32
            })
            .collect()
    }

    #[test]
    fn normally_distributed_weights_lose_what_the_levels_count_on() {
        let values = gaussian(1 << 15);
        for (bits, block, has_zero_points, least, most) in [
            (8, 32, false, 0.0045, 0.0055),
            (8, 128, false, 0.0055, super::super::levels::TYPICAL.eight),
            (4, 16, false, 0.068, super::super::levels::TYPICAL.four),
            (
                4,
                32,
                true,
                0.0755,
                super::super::levels::TYPICAL.four_with_zero_points,
            ),
            (4, 32, false, 0.079, 0.0835),
            (4, 64, true, 0.085, 0.089),
            (4, 16, true, 0.062, 0.067),
            (2, 32, true, 0.32, 0.345),
        ] {
            let (_, packed) = round_trip(&values, &grid(bits, block, has_zero_points));
            let lost = packed.loss.relative();
            assert!(
                (least..=most).contains(&lost),
                "{bits} bits, blocks of {block}: {lost}"
            );
        }
    }

    /// What a search has to be better than: the largest weight takes the largest number.
    fn to_nearest(values: &[f32], grid: &Grid) -> f64 {
        let mut loss = Loss::default();
        for block in values.chunks(grid.block) {
            let (low, high) = extent(block);
            let scale = (high - low) / grid.largest();
            let zero_point = (-low / scale).round();
            for &value in block {
                let number = ((value / scale).round() + zero_point).clamp(0.0, grid.largest());
                let error = f64::from(value - (number - zero_point) * scale);
                loss.squares += f64::from(value) * f64::from(value);
                loss.errors += error * error;
            }
        }
        loss.relative()
    }

    #[test]
    fn the_search_is_better_than_rounding() {
        let values = gaussian(1 << 13);
        for (bits, block) in [(2, 16), (2, 32), (4, 32), (4, 64), (4, 256)] {
            let grid = grid(bits, block, true);
            let searched = round_trip(&values, &grid).1.loss.relative();
            assert!(
                searched < 0.96 * to_nearest(&values, &grid),
                "{bits} bits, blocks of {block}: {searched}"
            );
        }
    }

    #[test]
    fn numbers_lie_low_bits_first() {
        let values: Vec<f32> = (0..16).map(|number| number as f32 - 8.0).collect();
        let (weights, packed) = round_trip(&values, &grid(4, 16, true));
        assert_eq!(weights, values);
        assert_eq!(packed.weights, [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
        assert_eq!((packed.scales[0], packed.zero_points[0]), (1.0, 8));
    }

    #[test]
    fn odd_blocks_are_kept_as_well() {
        for values in [
            vec![0.0; 40],
            vec![1e-42; 40],
            vec![3.0e38; 40],
            vec![-0.25; 40],
            [vec![0.0; 39], vec![7.0]].concat(),
        ] {
            for bits in [2, 4, 8] {
                for has_zero_points in [false, true] {
                    let (restored, packed) = round_trip(&values, &grid(bits, 32, has_zero_points));
                    assert!(packed.scales.iter().all(|scale| scale.is_finite()));
                    // What is too small to divide by becomes nothing.
                    let largest = values.iter().fold(1e-30_f32, |most, value| most.max(value.abs()));
                    for (restored, value) in restored.iter().zip(&values) {
                        assert!((restored - value).abs() <= largest * 0.51, "{values:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_told() {
        let mut values = vec![1.0_f32; 70];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[67] = bad;
            assert_eq!(packed(&values, &grid(4, 32, true)).err(), Some(BadWeight(67)));
        }
        values[67] = 1e38;
        let half = Grid {
            has_half_scales: true,
            ..grid(4, 32, true)
        };
        assert_eq!(packed(&values, &half).err(), Some(BadWeight(64)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_weight_is_further_away_than_what_is_cut_off(
            values in prop::collection::vec(-4.0_f32..4.0, 1..150),
            bits in prop::sample::select(vec![2_u32, 4, 8]),
            block in prop::sample::select(vec![16_usize, 32, 64, 128, 256]),
            has_zero_points: bool,
            has_half_scales: bool,
        ) {
            let grid = Grid { bits, block, has_zero_points, has_half_scales };
            let (restored, packed) = round_trip(&values, &grid);
            prop_assert_eq!(packed.weights.len(), grid.weight_bytes(values.len()));
            let mut loss = Loss::default();
            for (number, values) in values.chunks(block).enumerate() {
                let restored = &restored[number * block..][..values.len()];
                let (low, high) = extent(values);
                for (value, restored) in values.iter().zip(restored) {
                    loss.errors += f64::from(value - restored) * f64::from(value - restored);
                    // Never beyond the block's range by more than a step.
                    let step = packed.scales[number].abs() * 1.01;
                    prop_assert!(*restored >= -step - high.max(-low) && *restored <= high.max(-low) + step);
                }
            }
            prop_assert!((loss.errors - packed.loss.errors).abs() <= 1e-4 * loss.errors + 1e-9);
            // A block can always be told apart from nothing.
            prop_assert!(packed.loss.errors <= packed.loss.squares * 1.01);
        }
    }
}
