//! Passes over a whole row of logits, written so that the compiler turns them into vector code.

/// Values handled side by side; the compiler maps them to whatever vectors the machine has.
const LANES: usize = 16;

/// The largest value, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Peak {
    At(f32),
    /// A value is NaN or positive infinity.
    NotANumber,
    /// Every value is negative infinity, or there is none.
    Nothing,
}

/// One pass for the maximum and for what is not a number.
pub(super) fn peak(values: &[f32]) -> Peak {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let mut strange = [0_u32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        step(&mut maxima, &mut strange, chunk);
    }
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    step(&mut maxima, &mut strange, &last);
    let maximum = maxima.into_iter().fold(f32::NEG_INFINITY, f32::max);
    if strange.iter().any(|&bits| bits != 0) || maximum == f32::INFINITY {
        Peak::NotANumber
    } else if maximum == f32::NEG_INFINITY {
        Peak::Nothing
    } else {
        Peak::At(maximum)
    }
}

#[inline(always)]
fn step(maxima: &mut [f32; LANES], strange: &mut [u32; LANES], chunk: &[f32; LANES]) {
    for lane in 0..LANES {
        let value = chunk[lane];
        maxima[lane] = if value > maxima[lane] { value } else { maxima[lane] };
        strange[lane] |= u32::from(value.is_nan());
    }
}

/// Where `value` stands first.
pub(super) fn position(values: &[f32], value: f32) -> Option<usize> {
    let (chunks, rest) = values.as_chunks::<LANES>();
    for (index, chunk) in chunks.iter().enumerate() {
        // A whole chunk is compared before looking closer: this is what makes it vector code.
        if chunk.iter().fold(false, |found, &other| found | (other == value)) {
            return chunk
                .iter()
                .position(|&other| other == value)
                .map(|lane| index * LANES + lane);
        }
    }
    rest.iter()
        .position(|&other| other == value)
        .map(|index| values.len() - rest.len() + index)
}

/// The sum of `exp((value - maximum) * scale)`, accumulated in f64 in a fixed order.
pub(super) fn sum_of_exponentials(values: &[f32], maximum: f32, scale: f32) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut add = |chunk: &[f32; LANES]| {
        let mut powers = [0.0_f32; LANES];
        for lane in 0..LANES {
            powers[lane] = exp((chunk[lane] - maximum) * scale);
        }
        for lane in 0..LANES {
            sums[lane] += f64::from(powers[lane]);
        }
    };
    chunks.iter().for_each(&mut add);
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    add(&last);
    sums.iter().sum()
}

/// `e^x` for x ≤ 0, to about 2 units in the last place; below -87 it is 0.
///
/// Not the platform's `expf`: that one differs between systems and is a call per value. The
/// polynomial is the one of the Cephes library (S. L. Moshier).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, so that the remainder is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let bounded = if x > -87.0 { x } else { -87.0 };
    let rounded = bounded * LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = bounded - power * LN2_HIGH - power * LN2_LOW;
    let mut sum = 1.987_569_1e-4_f32;
    sum = sum * rest + 1.398_2e-3;
    sum = sum * rest + 8.333_452e-3;
    sum = sum * rest + 4.166_579_6e-2;
    sum = sum * rest + 1.666_666_5e-1;
    sum = sum * rest + 0.5;
    sum = sum * rest * rest + rest + 1.0;
    // `rounded` holds the power, -126 to 0, in its lowest bits: they become the exponent.
    let scaled = sum * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x > -87.0 { scaled } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_maximum_and_what_is_no_number() {
        let mut row = vec![-3.0_f32; 131];
        row[129] = 2.5;
        assert_eq!(peak(&row), Peak::At(2.5));
        assert_eq!(position(&row, 2.5), Some(129));
        row[40] = 2.5;
        assert_eq!(position(&row, 2.5), Some(40));
        row[77] = f32::NAN;
        assert_eq!(peak(&row), Peak::NotANumber);
        row[77] = f32::INFINITY;
        assert_eq!(peak(&row), Peak::NotANumber);
        assert_eq!(peak(&[f32::NEG_INFINITY; 40]), Peak::Nothing);
        assert_eq!(peak(&[]), Peak::Nothing);
        assert_eq!(peak(&[f32::NEG_INFINITY, -1.0]), Peak::At(-1.0));
    }

    #[test]
    fn exponential_is_close_to_the_exact_one() {
        for step in 0..87_000 {
            let x = -(step as f32) / 1000.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - exact).abs() <= exact * 3e-7,
                "{x}: {} {exact}",
                exp(x)
            );
        }
        assert_eq!((exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }
}
