//! Log-probabilities of a token and of the likeliest ones.

use super::numeric::sum_of_exponentials;

/// How likely the model found the chosen token and the likeliest ones: natural logarithms of the
/// softmax of the untouched logits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logprobs {
    /// Of the chosen token.
    pub logprob: f32,
    /// The likeliest tokens with theirs, most likely first, smaller ids first among equals.
    pub top: Vec<(u32, f32)>,
}

/// `maximum` is the largest of `logits`, all of which are numbers.
pub(super) fn logprobs(logits: &[f32], maximum: f32, token: u32, top: usize) -> Logprobs {
    let logarithm = sum_of_exponentials(logits, maximum, 1.0).ln();
    let of = |logit: f32| (f64::from(logit) - f64::from(maximum) - logarithm) as f32;
    Logprobs {
        logprob: logits
            .get(token as usize)
            .map_or(f32::NEG_INFINITY, |&logit| of(logit)),
        top: largest(logits, top)
            .into_iter()
            .map(|(token, logit)| (token, of(logit)))
            .collect(),
    }
}

/// The `count` largest, in order: one pass with a short sorted list, whose last entry almost every
/// token fails to reach.
fn largest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    if count == 0 {
        return best;
    }
    let mut bar = f32::NEG_INFINITY;
    for (token, &logit) in logits.iter().enumerate() {
        if best.len() == count && logit <= bar {
            continue;
        }
        let place = best.partition_point(|&(_, other)| other >= logit);
        best.insert(place, (token as u32, logit));
        best.truncate(count);
        bar = best.last().map_or(f32::NEG_INFINITY, |&(_, logit)| logit);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_come_in_order() {
        let logits = [1.0, 3.0, f32::NEG_INFINITY, 3.0, -2.0];
        let found = logprobs(&logits, 3.0, 0, 5);
        let ids: Vec<u32> = found.top.iter().map(|&(id, _)| id).collect();
        assert_eq!(ids, [1, 3, 0, 4, 2]);
        let sum: f32 = found.top.iter().map(|&(_, logprob)| logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert_eq!(found.logprob, found.top[2].1);
        assert!(logprobs(&logits, 3.0, 1, 0).top.is_empty());
    }
}
