//! What two models say of the next token: the divergence of one from the other, and how surprised
//! each is by what comes.

use airunner_core::quantize::QuantizeComparison;

/// Bytes of a logit that is kept with its token.
const ONE: usize = size_of::<(u32, f32)>();
/// Less of it is nothing, so that no logarithm is without bounds.
const LEAST: f64 = 1e-12;

/// What is kept of a prediction: all that a comparison with another one needs.
#[derive(Debug)]
pub(super) struct Kept {
    /// Logarithm of the sum of all exponentials.
    sum: f64,
    surprise: f64,
    first: Option<usize>,
    logits: Logits,
}

#[derive(Debug)]
enum Logits {
    All(Vec<f32>),
    /// The largest. The others together count as one.
    Largest(Vec<(u32, f32)>),
}

impl Kept {
    /// Of a prediction and the token that really comes, in so many bytes.
    pub(super) fn of(logits: &[f32], next: u32, room: usize) -> Self {
        let sum = log_sum(logits);
        Self {
            sum,
            surprise: surprise(logits, sum, next),
            first: first(logits),
            logits: if size_of_val(logits) <= room {
                Logits::All(logits.to_vec())
            } else {
                Logits::Largest(largest(logits, (room / ONE).max(1)))
            },
        }
    }

    /// Kullback-Leibler divergence of another prediction from this one, nats.
    fn divergence(&self, after: &[f32], sum: f64) -> f64 {
        let of = |one: f32, other: f32| {
            let (one, other) = (f64::from(one) - self.sum, f64::from(other) - sum);
            let probability = one.exp();
            // What is impossible adds nothing, however impossible it is.
            let part = if probability == 0.0 {
                0.0
            } else {
                probability * (one - other)
            };
            (probability, other.exp(), part)
        };
        let divergence = match &self.logits {
            Logits::All(before) => before
                .iter()
                .zip(after)
                .map(|(&one, &other)| of(one, other).2)
                .sum(),
            Logits::Largest(before) => {
                let (mut rest, mut other_rest, mut total) = (1.0, 1.0, 0.0);
                for &(token, one) in before {
                    let Some(&other) = after.get(token as usize) else {
                        continue;
                    };
                    let (one, other, part) = of(one, other);
                    rest -= one;
                    other_rest -= other;
                    total += part;
                }
                let (rest, other_rest) = (f64::max(rest, 0.0), f64::max(other_rest, LEAST));
                total + rest * (rest.max(LEAST) / other_rest).ln()
            }
        };
        // NaN stays.
        if divergence < 0.0 { 0.0 } else { divergence }
    }
}

/// What is added up over all predictions.
#[derive(Default)]
pub(super) struct Sums {
    tokens: u32,
    divergence: f64,
    before: f64,
    after: f64,
    same_first: u32,
}

impl Sums {
    /// Two predictions and the token that really comes.
    pub(super) fn add(&mut self, before: &Kept, after: &[f32], next: u32) {
        let sum = log_sum(after);
        self.tokens += 1;
        self.divergence += before.divergence(after, sum);
        self.before += before.surprise;
        self.after += surprise(after, sum, next);
        self.same_first += u32::from(before.first == first(after));
    }

    pub(super) fn comparison(&self) -> QuantizeComparison {
        let tokens = f64::from(self.tokens.max(1));
        QuantizeComparison {
            tokens: self.tokens,
            kl_divergence: self.divergence / tokens,
            perplexity_before: (self.before / tokens).exp(),
            perplexity_after: (self.after / tokens).exp(),
            same_first: f64::from(self.same_first) / tokens,
        }
    }
}

fn surprise(logits: &[f32], sum: f64, next: u32) -> f64 {
    sum - logits.get(next as usize).map_or(0.0, |&one| f64::from(one))
}

/// Logarithm of the sum of the exponentials.
fn log_sum(logits: &[f32]) -> f64 {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &one| most.max(one));
    let most = f64::from(most);
    most + logits
        .iter()
        .map(|&one| (f64::from(one) - most).exp())
        .sum::<f64>()
        .ln()
}

fn first(logits: &[f32]) -> Option<usize> {
    let numbered = logits.iter().enumerate();
    numbered
        .max_by(|one, other| one.1.total_cmp(other.1))
        .map(|(place, _)| place)
}

fn largest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut all: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, |one, other| other.1.total_cmp(&one.1));
        all.truncate(count);
        all.shrink_to_fit();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: usize = 1 << 20;

    #[test]
    fn divergence_and_perplexity_are_those_of_the_books() {
        let mut sums = Sums::default();
        let quarters = [0.25_f32.ln(), 0.75_f32.ln()];
        let halves = [0.0, 0.0];
        sums.add(&Kept::of(&quarters, 0, ENOUGH), &halves, 0);
        let made = sums.comparison();
        let expected = 0.25 * (0.25_f64 / 0.5).ln() + 0.75 * (0.75_f64 / 0.5).ln();
        assert!((made.kl_divergence - expected).abs() < 1e-6);
        assert!((made.perplexity_before - 4.0).abs() < 1e-5 && (made.perplexity_after - 2.0).abs() < 1e-6);
        sums.add(&Kept::of(&halves, 1, ENOUGH), &halves, 1);
        let made = sums.comparison();
        assert!((made.kl_divergence - expected / 2.0).abs() < 1e-6);
        assert_eq!(made.tokens, 2);
    }

    #[test]
    fn the_largest_logits_tell_nearly_the_same() {
        let before: Vec<f32> = (0..5000).map(|token| 12.0 - (token as f32).sqrt()).collect();
        let after: Vec<f32> = (0..5000)
            .map(|token| before[token] + (token % 7) as f32 * 0.1)
            .collect();
        let divergence = |room| {
            let kept = Kept::of(&before, 3, room);
            assert_eq!(kept.first, Some(0));
            kept.divergence(&after, log_sum(&after))
        };
        let (exact, largest) = (divergence(ENOUGH), divergence(1000 * ONE));
        assert!(
            exact > 0.01 && largest <= exact + 1e-9 && largest > 0.99 * exact,
            "{exact} {largest}"
        );
        // The same predictions do not differ, whatever is left out.
        let kept = Kept::of(&before, 3, 10 * ONE);
        assert!(kept.divergence(&before, log_sum(&before)) < 1e-9);
        let Logits::Largest(logits) = kept.logits else {
            panic!("not all have room")
        };
        assert_eq!(logits.len(), 10);
    }
}
