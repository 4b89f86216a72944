//! Which matrix gets how many bits.

use airunner_core::quantize::QuantizeLevel;

use super::roles::{Place, Role};

/// What normally distributed weights lose with 4 bits in blocks of 32, and with 8 in blocks of
/// 128: measured.
pub(super) const LOSS_4: f64 = 0.0772;
pub(super) const LOSS_8: f64 = 0.0066;
/// The same of llama.cpp's `Q4_K` and `Q6_K`.
const LOSS_Q4_K: f64 = 0.0713;
const LOSS_Q6_K: f64 = 0.0145;

/// How a matrix is kept. One whose rows are not whole blocks gets blocks of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) bits: u32,
    pub(super) block: usize,
}

const EIGHT: Choice = Choice { bits: 8, block: 32 };
/// Beside fewer bits: what larger blocks lose is nothing to what the others do.
const EIGHT_WIDE: Choice = Choice { bits: 8, block: 128 };
const FOUR: Choice = Choice { bits: 4, block: 32 };
const FOUR_WIDE: Choice = Choice { bits: 4, block: 64 };
const TWO: Choice = Choice { bits: 2, block: 32 };

/// A matrix to choose for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) weights: u64,
    /// A table whose bytes are those of the head: the head decides.
    pub(super) is_tied: bool,
}

/// In the order of the candidates. Half precision is not for here.
pub(super) fn choose(level: QuantizeLevel, candidates: &[Candidate]) -> Vec<Choice> {
    let layers = candidates.iter().filter_map(|candidate| candidate.place.layer);
    let layers = layers.max().map_or(0, |last| last + 1);
    let of = |candidate: &Candidate| choice(level, candidate, layers);
    let mut choices: Vec<Choice> = candidates.iter().map(of).collect();
    if level == QuantizeLevel::Q4M {
        as_good_as_q4_k_m(candidates, layers, &mut choices);
    }
    choices
}

fn choice(level: QuantizeLevel, candidate: &Candidate, layers: usize) -> Choice {
    let Place { role, layer } = candidate.place;
    if matches!(level, QuantizeLevel::F16 | QuantizeLevel::Q8) {
        return EIGHT;
    }
    if role == Role::Head || candidate.is_tied {
        return EIGHT_WIDE;
    }
    let is_sensitive = matches!(role, Role::Value | Role::Down);
    let is_mixed = is_sensitive && layer.is_none_or(|layer| is_important(layer, layers));
    match level {
        QuantizeLevel::F16 | QuantizeLevel::Q8 => EIGHT,
        QuantizeLevel::Q6 => match role {
            Role::Value | Role::Key | Role::Output | Role::Down | Role::Table => EIGHT_WIDE,
            Role::Head | Role::Router | Role::Other => FOUR,
        },
        QuantizeLevel::Q4M if is_mixed => EIGHT_WIDE,
        QuantizeLevel::Q4M => FOUR,
        QuantizeLevel::Q4S => FOUR_WIDE,
        QuantizeLevel::Q2 if is_sensitive || role == Role::Table => FOUR,
        QuantizeLevel::Q2 => TWO,
    }
}

/// The first and the last eighth of the layers, and every third between.
fn is_important(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// Gives more matrices 8 bits until together they lose no more than `Q4_K_M` would.
fn as_good_as_q4_k_m(candidates: &[Candidate], layers: usize, choices: &mut [Choice]) {
    let squared = |loss: f64, candidate: &Candidate| loss * loss * candidate.weights as f64;
    let counted = |candidate: &&Candidate| !candidate.is_tied;
    let bar: f64 = candidates
        .iter()
        .filter(counted)
        .map(|candidate| {
            let Place { role, layer } = candidate.place;
            let is_mixed = matches!(role, Role::Value | Role::Down)
                && layer.is_some_and(|layer| is_important(layer, layers));
            let loss = if role == Role::Head || is_mixed {
                LOSS_Q6_K
            } else {
                LOSS_Q4_K
            };
            squared(loss, candidate)
        })
        .sum();
    let loss_of = |choice: &Choice| if choice.bits == 8 { LOSS_8 } else { LOSS_4 };
    let pairs = candidates
        .iter()
        .zip(choices.iter())
        .filter(|(one, _)| !one.is_tied);
    let mut lost: f64 = pairs.map(|(one, choice)| squared(loss_of(choice), one)).sum();
    let mut left: Vec<usize> = (0..candidates.len())
        .filter(|&number| choices[number].bits != 8 && !candidates[number].is_tied)
        .collect();
    left.sort_by_key(|&number| order(&candidates[number].place, layers));
    for number in left {
        if lost <= bar {
            return;
        }
        lost -= squared(LOSS_4, &candidates[number]) - squared(LOSS_8, &candidates[number]);
        choices[number] = EIGHT_WIDE;
    }
}

/// What is next to get 8 bits. A table first: only the rows of the tokens at hand are read.
fn order(place: &Place, layers: usize) -> (usize, usize) {
    let role = match place.role {
        Role::Table => 0,
        Role::Down | Role::Value => 1,
        Role::Output | Role::Key => 2,
        Role::Head | Role::Router | Role::Other => 3,
    };
    let layer = place.layer.unwrap_or(0);
    (role, layer.min(layers.saturating_sub(layer + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder of so many layers with grouped heads.
    fn decoder(layers: usize, hidden: u64, inner: u64, vocabulary: u64, is_tied: bool) -> Vec<Candidate> {
        let candidate = |role, layer, weights| Candidate {
            place: Place { role, layer },
            weights,
            is_tied: false,
        };
        let mut all = vec![Candidate {
            is_tied,
            ..candidate(Role::Table, None, vocabulary * hidden)
        }];
        for layer in 0..layers {
            let layer = Some(layer);
            all.extend([
                candidate(Role::Other, layer, hidden * hidden),
                candidate(Role::Key, layer, hidden * hidden / 4),
                candidate(Role::Value, layer, hidden * hidden / 4),
                candidate(Role::Output, layer, hidden * hidden),
                candidate(Role::Other, layer, hidden * inner),
                candidate(Role::Other, layer, hidden * inner),
                candidate(Role::Down, layer, hidden * inner),
            ]);
        }
        all.push(candidate(Role::Head, None, vocabulary * hidden));
        all
    }

    fn bits(level: QuantizeLevel, candidates: &[Candidate]) -> f64 {
        let choices = choose(level, candidates);
        let own = || candidates.iter().zip(&choices).filter(|(one, _)| !one.is_tied);
        let total: f64 = own()
            .map(|(one, choice)| one.weights as f64 * f64::from(choice.bits))
            .sum();
        total / own().map(|(one, _)| one.weights as f64).sum::<f64>()
    }

    #[test]
    fn a_level_takes_less_than_the_one_before() {
        for candidates in [
            decoder(16, 2048, 8192, 128_256, true),
            decoder(24, 896, 4864, 151_936, true),
            decoder(32, 4096, 14_336, 128_256, false),
        ] {
            let levels = &QuantizeLevel::ALL[1..];
            let bits: Vec<f64> = levels.iter().map(|&level| bits(level, &candidates)).collect();
            assert!(bits.windows(2).all(|pair| pair[0] > pair[1]), "{bits:?}");
            assert!(bits[0] == 8.0 && bits[2] < 6.5, "{bits:?}");
        }
    }

    #[test]
    fn q4_m_loses_no_more_than_q4_k_m() {
        for (layers, hidden, inner, vocabulary, is_tied) in [
            (16, 2048, 8192, 128_256, true),
            (24, 896, 4864, 151_936, true),
            (32, 4096, 14_336, 128_256, false),
        ] {
            let candidates = decoder(layers, hidden, inner, vocabulary, is_tied);
            let choices = choose(QuantizeLevel::Q4M, &candidates);
            let (mut ours, mut theirs) = (0.0, 0.0);
            for (one, choice) in candidates.iter().zip(&choices).filter(|(one, _)| !one.is_tied) {
                let weights = one.weights as f64;
                let loss = if choice.bits == 8 { LOSS_8 } else { LOSS_4 };
                ours += weights * loss * loss;
                // As llama.cpp chooses.
                let more =
                    |layer| layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
                let is_six = match one.place.role {
                    Role::Head => true,
                    Role::Value | Role::Down => one.place.layer.is_some_and(more),
                    Role::Table | Role::Key | Role::Output | Role::Router | Role::Other => false,
                };
                let loss = if is_six { LOSS_Q6_K } else { LOSS_Q4_K };
                theirs += weights * loss * loss;
            }
            assert!(ours <= theirs, "{ours} > {theirs}");
            // And not much less, which would be paid for with size.
            assert!(ours > theirs * 0.9, "{ours} << {theirs}");
        }
    }

    #[test]
    fn matrices_without_names_are_chosen_for_as_well() {
        let place = Place {
            role: Role::Other,
            layer: None,
        };
        let one = Candidate {
            place,
            weights: 1024,
            is_tied: false,
        };
        assert_eq!(choose(QuantizeLevel::Q2, &[one]), [TWO]);
        assert_eq!(choose(QuantizeLevel::Q8, &[one; 2]), [EIGHT; 2]);
        assert_eq!(choose(QuantizeLevel::Q4M, &[]), []);
    }
}
