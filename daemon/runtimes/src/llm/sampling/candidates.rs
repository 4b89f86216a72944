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

impl Candidates {
    /// Draws with `unit` in [0, 1). `maximum` is the largest of `logits`, all of which are numbers.
    pub(super) fn draw(&mut self, logits: &[f32], maximum: f32, shape: Shape, unit: f64) -> u32 {
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
        // Bounded, since 0 times infinity is not a number.
        let scale = shape.temperature.recip().min(f32::MAX);
        if shape.top_k > 0 && shape.top_k < logits.len() {
            self.keep_largest(logits, shape.top_k);
            self.weigh(maximum, scale);
            let total = self.entries.iter().map(|&(_, weight)| f64::from(weight)).sum();
            self.keep_mass(total, shape.top_p);
        } else if shape.top_p < 1.0 {
            self.gather_mass(logits, maximum, scale, shape.top_p);
        } else {
            self.entries.clear();
            self.entries.extend((0_u32..).zip(logits.iter().copied()));
            self.weigh(maximum, scale);
        }
        if shape.min_p > 0.0 {
            // The likeliest weighs 1, so min_p is itself the bar.
            self.entries.retain(|&(_, weight)| weight >= shape.min_p);
        }
        &self.entries
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
            self.entries.clear();
            let near = (0_u32..)
                .zip(logits.iter().copied())
                .filter(|&(_, logit)| logit >= bar);
            self.entries.extend(near);
            self.entries.sort_unstable_by(by_rank);
            self.weigh(maximum, scale);
            if self.keep_mass(total, share) {
                return;
            }
        }
    }
}
