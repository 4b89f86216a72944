//! Which tokens may be drawn: temperature, top-k, top-p, min-p, and the draw itself.

use std::cmp::Ordering;

use super::numeric::{exp, sum_of_exponentials};

/// The settings of a draw; each may be off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Above 0.
    pub(super) temperature: f32,
    /// 0 is off.
    pub(super) top_k: usize,
    /// 1 is off.
    pub(super) top_p: f32,
    /// 0 is off.
    pub(super) min_p: f32,
}

impl Shape {
    /// Bounded, since 0 times infinity is not a number.
    fn scale(self) -> f32 {
        self.temperature.recip().min(f32::MAX)
    }

    fn keeps_all(self, tokens: usize) -> bool {
        (self.top_k == 0 || self.top_k >= tokens) && self.top_p >= 1.0 && self.min_p <= 0.0
    }
}

/// The tokens that may be drawn with their weights, kept between tokens to save the allocation.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Logit, and later weight, by token; most likely first once truncated.
    entries: Vec<(u32, f32)>,
}

/// Most likely first, smaller ids first among equals: one order for every truncation.
fn by_rank(left: &(u32, f32), right: &(u32, f32)) -> Ordering {
    right.1.total_cmp(&left.1).then(left.0.cmp(&right.0))
}

/// A draw from the whole row: runs of tokens are passed over by their sums.
fn draw_from_all(logits: &[f32], maximum: f32, scale: f32, unit: f64) -> u32 {
    const RUN: usize = 256;
    let total = sum_of_exponentials(logits, maximum, scale);
    let mut left = unit * total;
    let mut last = 0;
    for (run, part) in logits.chunks(RUN).enumerate() {
        let sum = sum_of_exponentials(part, maximum, scale);
        if sum <= left {
            left -= sum;
            if sum > 0.0 {
                last = run;
            }
            continue;
        }
        for (index, &logit) in part.iter().enumerate() {
            left -= f64::from(exp((logit - maximum) * scale));
            if left < 0.0 {
                return (run * RUN + index) as u32;
            }
        }
        last = run;
    }
    // Rounding may leave a crumb after the last: the last token with any weight has it.
    let part = &logits[last * RUN..logits.len().min((last + 1) * RUN)];
    let heavy = part
        .iter()
        .rposition(|&logit| exp((logit - maximum) * scale) > 0.0);
    (last * RUN + heavy.unwrap_or(0)) as u32
}

impl Candidates {
    /// Draws with `unit` in [0, 1). `maximum` is the largest of `logits`, all of which are numbers.
    pub(super) fn draw(&mut self, logits: &[f32], maximum: f32, shape: Shape, unit: f64) -> u32 {
        if shape.keeps_all(logits.len()) {
            return draw_from_all(logits, maximum, shape.scale(), unit);
        }
        self.select(logits, maximum, shape);
        let total: f64 = self.entries.iter().map(|&(_, weight)| f64::from(weight)).sum();
        let mut left = unit * total;
        for &(token, weight) in &self.entries {
            left -= f64::from(weight);
            if left < 0.0 {
                return token;
            }
        }
        // Rounding may leave a crumb after the last: the last token with any weight has it.
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.1 > 0.0)
            .map_or(0, |entry| entry.0)
    }

    /// What may be drawn, with weights relative to the likeliest's 1.
    pub(super) fn select(&mut self, logits: &[f32], maximum: f32, shape: Shape) -> &[(u32, f32)] {
        let scale = shape.scale();
        if shape.top_k > 0 && shape.top_k < logits.len() {
            self.keep_largest(logits, shape.top_k);
            self.weigh(maximum, scale);
            let total = self.entries.iter().map(|&(_, weight)| f64::from(weight)).sum();
            self.keep_mass(total, shape.top_p);
        } else if shape.top_p < 1.0 {
            self.gather_mass(logits, maximum, scale, shape.top_p);
        } else {
            // A little below the bar that min-p means, which is applied to the weights.
            let bar = maximum + (shape.min_p.ln() - 0.01) / scale;
            self.gather(logits, bar);
            self.weigh(maximum, scale);
        }
        if shape.min_p > 0.0 {
            // The likeliest weighs 1, so min_p is itself the bar.
            self.entries.retain(|&(_, weight)| weight >= shape.min_p);
        }
        &self.entries
    }

    /// Every logit that reaches the bar, by token.
    fn gather(&mut self, logits: &[f32], bar: f32) {
        self.entries.clear();
        self.entries.extend(
            (0_u32..)
                .zip(logits.iter().copied())
                .filter(|&(_, logit)| logit >= bar),
        );
    }

    fn weigh(&mut self, maximum: f32, scale: f32) {
        self.entries
            .iter_mut()
            .for_each(|entry| entry.1 = exp((entry.1 - maximum) * scale));
    }

    /// The `count` largest logits, in order.
    fn keep_largest(&mut self, logits: &[f32], count: usize) {
        self.entries.clear();
        let mut bar = f32::NEG_INFINITY;
        // A buffer of twice the count is cut to the count whenever it is full; what does not
        // reach the last cut's bar is never stored.
        for (token, &logit) in logits.iter().enumerate() {
            if logit < bar {
                continue;
            }
            self.entries.push((token as u32, logit));
            if self.entries.len() >= 2 * count + 64 {
                bar = self.cut(count);
            }
        }
        self.cut(count);
        self.entries.sort_unstable_by(by_rank);
    }

    /// Cuts to the `count` first by rank and returns the logit of the last of them.
    fn cut(&mut self, count: usize) -> f32 {
        if self.entries.len() <= count {
            return f32::NEG_INFINITY;
        }
        let (_, last, _) = self.entries.select_nth_unstable_by(count - 1, by_rank);
        let bar = last.1;
        self.entries.truncate(count);
        bar
    }

    /// The fewest of the sorted entries that reach `share` of `total`; at least one.
    fn keep_mass(&mut self, total: f64, share: f32) -> bool {
        if share >= 1.0 {
            return true;
        }
        let goal = total * f64::from(share);
        let mut mass = 0.0;
        for (index, &(_, weight)) in self.entries.iter().enumerate() {
            mass += f64::from(weight);
            if mass >= goal {
                self.entries.truncate(index + 1);
                return true;
            }
        }
        false
    }

    /// Top-p over the whole row without sorting it: only what lies near the maximum is gathered
    /// and sorted, and more of it as long as the goal is not reached.
    fn gather_mass(&mut self, logits: &[f32], maximum: f32, scale: f32, share: f32) {
        let total = sum_of_exponentials(logits, maximum, scale);
        for depth in [3.0_f32, 8.0, 20.0, f32::INFINITY] {
            let bar = maximum - depth / scale;
            self.gather(logits, bar);
            self.entries.sort_unstable_by(by_rank);
            self.weigh(maximum, scale);
            if self.keep_mass(total, share) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The token drawn is the one in whose share of the distribution the number falls.
        #[test]
        fn a_draw_from_all_finds_the_share(
            row in prop::collection::vec(prop_oneof![4 => -9.0_f32..9.0, 1 => Just(f32::NEG_INFINITY)], 1..1200),
            unit in 0.0_f64..1.0,
        ) {
            let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assume!(maximum.is_finite());
            let token = draw_from_all(&row, maximum, 1.0, unit) as usize;
            let weights: Vec<f64> = row.iter().map(|&logit| f64::from(logit - maximum).exp()).collect();
            let total: f64 = weights.iter().sum();
            let before: f64 = weights[..token].iter().sum();
            prop_assert!(weights[token] > 0.0);
            prop_assert!(before <= unit * total * (1.0 + 1e-5) + 1e-9);
            prop_assert!(before + weights[token] >= unit * total * (1.0 - 1e-5) - 1e-9);
        }
    }
}
