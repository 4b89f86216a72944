//! Powers of e, 16 at a time.

use super::simd::Simd;

/// Below it the result is 0: it would be less than the least number with all its digits.
const LEAST: f32 = -87.3;
const GREATEST: f32 = 88.0;
/// So great that the sum with a number has that number, rounded to a whole one and with the
/// offset of an exponent, in its last bits.
const ROUNDING: f32 = 12_582_912.0 + 127.0;
/// ln 2 in two parts, so that whole multiples of the first are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// e^r for |r| <= ln 2 / 2, from the sixth power down to the square (Cephes `expf`).
const POLYNOMIAL: [f32; 6] = [
    1.987_569_1e-4,
    1.398_2e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];

/// e to the power of each number up to 88, within 3e-7 of it (relative); 0 below -87.3. NaN stays.
#[inline(always)]
pub(super) fn exponent<S: Simd>(simd: S, power: S::Vector) -> S::Vector {
    let bounded = simd.max(simd.splat(LEAST), simd.min(simd.splat(GREATEST), power));
    let rounding = simd.splat(ROUNDING);
    let rounded = simd.multiply_add(bounded, simd.splat(std::f32::consts::LOG2_E), rounding);
    let whole = simd.subtract(rounding, rounded);
    let rest = simd.multiply_add(whole, simd.splat(LN_2[0]), bounded);
    let rest = simd.multiply_add(whole, simd.splat(LN_2[1]), rest);
    let mut sum = simd.splat(POLYNOMIAL[0]);
    for factor in &POLYNOMIAL[1..] {
        sum = simd.multiply_add(sum, rest, simd.splat(*factor));
    }
    let square = simd.multiply(rest, rest);
    let sum = simd.add(simd.multiply_add(sum, square, rest), simd.splat(1.0));
    simd.zero_below(power, LEAST, simd.multiply(sum, simd.exponent_bits(rounded)))
}

/// The hyperbolic tangent of each number, within 3e-7 of it (absolute). NaN stays.
#[inline(always)]
pub(super) fn tangent<S: Simd>(simd: S, number: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let power = exponent(simd, simd.add(number, number));
    let part = simd.divide(simd.splat(2.0), simd.add(power, one));
    simd.subtract(one, part)
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Job, LANES, dispatch};
    use super::*;
    use crate::Isa;

    struct Compute<'a> {
        numbers: &'a mut [f32; LANES],
        tangent: bool,
    }

    impl Job for Compute<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let vector = simd.load(self.numbers);
            let vector = if self.tangent {
                tangent(simd, vector)
            } else {
                exponent(simd, vector)
            };
            simd.store(vector, self.numbers);
        }
    }

    fn compute(isa: Isa, mut numbers: [f32; LANES], tangent: bool) -> [f32; LANES] {
        dispatch(
            isa,
            Compute {
                numbers: &mut numbers,
                tangent,
            },
        );
        numbers
    }

    fn check(from: f32, to: f32, tangent: bool, error: impl Fn(f32, f32) -> f64) {
        for isa in Isa::available() {
            let mut start = from;
            while start < to {
                let numbers: [f32; LANES] = std::array::from_fn(|lane| start + lane as f32 * 1.7e-4);
                for (number, result) in numbers.into_iter().zip(compute(isa, numbers, tangent)) {
                    assert!(error(number, result) < 3e-7, "{isa}: {number} gives {result}");
                }
                start = numbers[LANES - 1] + 1.3e-4;
            }
        }
    }

    #[test]
    fn powers_are_within_their_bound() {
        check(-87.29, 87.9, false, |number, result| {
            let exact = f64::from(number).exp();
            (f64::from(result) - exact).abs() / exact
        });
    }

    #[test]
    fn tangents_are_within_their_bound() {
        check(-60.0, 60.0, true, |number, result| {
            (f64::from(result) - f64::from(number).tanh()).abs()
        });
    }

    #[test]
    fn ends_are_exact_and_nan_stays() {
        let odd = f32::from_bits(0x7fc0_0001);
        let numbers = [
            0.0,
            -0.0,
            f32::NEG_INFINITY,
            -87.4,
            -1e30,
            f32::NAN,
            -f32::NAN,
            odd,
        ];
        let mut all = [0.0; LANES];
        all[..8].copy_from_slice(&numbers);
        for isa in Isa::available() {
            let powers = compute(isa, all, false);
            assert_eq!(powers[..5], [1.0, 1.0, 0.0, 0.0, 0.0], "{isa}");
            assert!(
                powers[5..8].iter().all(|power| power.is_nan()),
                "{isa}: {powers:?}"
            );
            let tangents = compute(isa, all, true);
            assert_eq!(tangents[..5], [0.0, 0.0, -1.0, -1.0, -1.0], "{isa}");
            assert!(tangents[5..8].iter().all(|tangent| tangent.is_nan()), "{isa}");
        }
    }
}
