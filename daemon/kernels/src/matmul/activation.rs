//! The functions of gated feed-forward layers.

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

/// What the gate goes through before it is multiplied with the other half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / 2 × (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
    /// `x / 2 × (1 + erf(x / √2))`.
    GeluErf,
}

impl Activation {
    /// Within 3e-7 × max(1, |x|) of the exact value.
    #[inline(always)]
    pub(super) fn apply(self, x: f32) -> f32 {
        match self {
            Self::Silu => x * sigmoid(x),
            // (1 + tanh y) / 2 is the sigmoid of 2 y.
            Self::GeluTanh => x * sigmoid(2.0 * 0.797_884_6 * (x + 0.044_715 * x * x * x)),
            Self::GeluErf => x * normal_distribution(x),
        }
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26; error at most 1.5e-7.
#[inline(always)]
fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = 1.061_405_4;
    let series = series * t - 1.453_152;
    let series = series * t + 1.421_413_7;
    let series = series * t - 0.284_496_74;
    let series = series * t + 0.254_829_6;
    let tail = 0.5 * series * t * exp(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Without branches, so that compilers make vectors of it. NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Added to a number this rounds it and leaves the integer in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = x * LOG2_E + ROUNDING;
    let power = rounded
        .to_bits()
        .wrapping_sub(ROUNDING.to_bits())
        .wrapping_add(127)
        << 23;
    let whole = rounded - ROUNDING;
    // The logarithm of 2 in two parts, of which the first is exact in products.
    let rest = x - whole * 0.693_359_4 - whole * (LN_2 as f64 - 0.693_359_375) as f32;
    let series = 1.0 / 5040.0;
    let series = series * rest + 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = series * rest + 1.0;
    let series = series * rest + 1.0;
    series * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By its power series, or for large arguments its continued fraction.
    fn erf(x: f64) -> f64 {
        if x.abs() > 3.0 {
            let tail = (1..60)
                .rev()
                .fold(x.abs(), |tail, n| x.abs() + f64::from(n) / 2.0 / tail);
            return (1.0 - (-x * x).exp() / tail / std::f64::consts::PI.sqrt()).copysign(x);
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                x / 2.0 * (1.0 + inner.tanh())
            }
            Activation::GeluErf => x / 2.0 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        }
    }

    #[test]
    fn every_function_is_near_its_definition() {
        for activation in [Activation::Silu, Activation::GeluTanh, Activation::GeluErf] {
            for step in (-20_000..=20_000).step_by(if cfg!(miri) { 1000 } else { 1 }) {
                let x = step as f32 / 1000.0;
                let (is, should) = (f64::from(activation.apply(x)), exact(activation, f64::from(x)));
                let bound = 3e-7 * f64::from(x.abs().max(1.0));
                assert!(
                    (is - should).abs() <= bound,
                    "{activation:?}({x}) is {is}, not {should}"
                );
            }
        }
    }

    #[test]
    fn far_away_it_is_nothing_or_the_number_itself() {
        for activation in [Activation::Silu, Activation::GeluTanh, Activation::GeluErf] {
            assert!(activation.apply(-1e4).abs() < 1e-30, "{activation:?}");
            assert_eq!(activation.apply(1e4), 1e4);
            assert!(activation.apply(f32::NAN).is_nan());
        }
    }
}
