//! Which matrix gets how many bits.

use airunner_core::quantize::QuantizeLevel;

use super::roles::{Place, Role};

/// What llama.cpp's `Q4_K` loses, as a part of what the same weights lose with our 4 bits and zero
/// points in blocks of 32; a little less than the least that was measured.
const Q4_K: f64 = 0.92;
/// What its `Q6_K` loses, as a part of our 4 bits around zero in blocks of 16. Both are the same
/// whatever the distribution; see `llamacpp_tests`.
const Q6_K: f64 = 0.25;

/// What the weights of a matrix lose in the ways that tell which mix is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Losses {
    /// 4 bits around zero in blocks of 16.
    pub(super) four: f64,
    /// 4 bits with zero points in blocks of 32.
    pub(super) four_with_zero_points: f64,
    /// 8 bits in blocks of 128.
    pub(super) eight: f64,
}

/// Of normally distributed weights.
pub(super) const TYPICAL: Losses = Losses {
    four: 0.0706,
    four_with_zero_points: 0.0772,
    eight: 0.0066,
};

/// How a matrix is kept. One whose rows are not whole blocks gets blocks of 32 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) bits: u32,
    pub(super) block: usize,
    pub(super) has_zero_points: bool,
}

const EIGHT: Choice = around_zero(8, 32);
/// Beside fewer bits: what larger blocks lose is nothing to what the others do.
const EIGHT_WIDE: Choice = around_zero(8, 128);
/// Loses less than blocks of 32 with zero points, and is computed with as fast or faster.
const FOUR_NARROW: Choice = around_zero(4, 16);
const FOUR: Choice = with_zero_points(4, 32);
const FOUR_WIDE: Choice = with_zero_points(4, 64);
const TWO: Choice = with_zero_points(2, 32);

const fn around_zero(bits: u32, block: usize) -> Choice {
    Choice {
        bits,
        block,
        has_zero_points: false,
    }
}

const fn with_zero_points(bits: u32, block: usize) -> Choice {
    Choice {
        bits,
        block,
        has_zero_points: true,
    }
}

/// A matrix to choose for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) weights: u64,
    /// A table whose bytes are those of the head: the head decides.
    pub(super) is_tied: bool,
    pub(super) losses: Losses,
}

/// In the order of the candidates. Half precision is not for here.
pub(super) fn choose(level: QuantizeLevel, candidates: &[Candidate]) -> Vec<Choice> {
    let of = |candidate: &Candidate| choice(level, candidate);
    let mut choices: Vec<Choice> = candidates.iter().map(of).collect();
    if level == QuantizeLevel::Q4M {
        as_good_as_q4_k_m(candidates, &mut choices);
    }
    choices
}

fn choice(level: QuantizeLevel, candidate: &Candidate) -> Choice {
    let role = candidate.place.role;
    if matches!(level, QuantizeLevel::F16 | QuantizeLevel::Q8) {
        return EIGHT;
    }
    if role == Role::Head || candidate.is_tied {
        return EIGHT_WIDE;
    }
    match level {
        QuantizeLevel::F16 | QuantizeLevel::Q8 => EIGHT,
        QuantizeLevel::Q6 => match role {
            Role::Value | Role::Key | Role::Output | Role::Down | Role::Table => EIGHT_WIDE,
            Role::Head | Role::Router | Role::Other => FOUR,
        },
        // Only the rows of the tokens at hand are read of a table: it slows nothing.
        QuantizeLevel::Q4M if role == Role::Table => EIGHT_WIDE,
        QuantizeLevel::Q4M => FOUR_NARROW,
        QuantizeLevel::Q4S => FOUR_WIDE,
        QuantizeLevel::Q2 if matches!(role, Role::Value | Role::Down | Role::Table) => FOUR,
        QuantizeLevel::Q2 => TWO,
    }
}

fn layers(candidates: &[Candidate]) -> usize {
    let layers = candidates.iter().filter_map(|candidate| candidate.place.layer);
    layers.max().map_or(0, |last| last + 1)
}

/// The first and the last eighth of the layers, and every third between.
fn is_important(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// Whether `Q4_K_M` keeps it as `Q6_K`: otherwise it is `Q4_K`.
fn is_q6_k(place: &Place, layers: usize) -> bool {
    match place.role {
        Role::Head => true,
        Role::Value | Role::Down => place.layer.is_some_and(|layer| is_important(layer, layers)),
        Role::Table | Role::Key | Role::Output | Role::Router | Role::Other => false,
    }
}

/// Squared, of all weights of a matrix.
fn lost(candidate: &Candidate, loss: f64) -> f64 {
    loss * loss * candidate.weights as f64
}

/// Gives more matrices 8 bits until together they lose no more than `Q4_K_M` would.
fn as_good_as_q4_k_m(candidates: &[Candidate], choices: &mut [Choice]) {
    let layers = layers(candidates);
    let own = || (0..candidates.len()).filter(|&number| !candidates[number].is_tied);
    let allowed: f64 = own()
        .map(|number| {
            let Candidate { place, losses, .. } = &candidates[number];
            let loss = if is_q6_k(place, layers) {
                Q6_K * losses.four
            } else {
                Q4_K * losses.four_with_zero_points
            };
            lost(&candidates[number], loss)
        })
        .sum();
    let mut left: Vec<usize> = own().filter(|&number| choices[number].bits != 8).collect();
    let as_chosen = |number: usize| {
        let Losses { four, eight, .. } = candidates[number].losses;
        lost(
            &candidates[number],
            if choices[number].bits == 8 { eight } else { four },
        )
    };
    let mut all: f64 = own().map(as_chosen).sum();
    left.sort_by_key(|&number| order(&candidates[number].place, layers));
    for number in left {
        if all <= allowed {
            return;
        }
        let Losses { four, eight, .. } = candidates[number].losses;
        all -= lost(&candidates[number], four) - lost(&candidates[number], eight);
        choices[number] = EIGHT_WIDE;
    }
}

/// What is next to get 8 bits, the first and the last layers before those between.
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
pub(super) mod tests {
    use super::*;

    /// A decoder of so many layers with grouped heads.
    fn decoder(layers: usize, hidden: u64, inner: u64, vocabulary: u64, is_tied: bool) -> Vec<Candidate> {
        let candidate = |role, layer, weights| Candidate {
            place: Place { role, layer },
            weights,
            is_tied: false,
            losses: TYPICAL,
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

    /// Of the shapes of Llama-3.2-1B, Qwen2.5-0.5B and Llama-3.1-8B.
    pub(in crate::quantize) fn decoders() -> [Vec<Candidate>; 3] {
        [
            decoder(16, 2048, 8192, 128_256, true),
            decoder(24, 896, 4864, 151_936, true),
            decoder(32, 4096, 14_336, 128_256, false),
        ]
    }

    /// What a mix loses of all weights, and what `Q4_K_M` loses, by what each kind loses.
    pub(in crate::quantize) fn compared(candidates: &[Candidate], q4_k: f64, q6_k: f64) -> (f64, f64) {
        let choices = choose(QuantizeLevel::Q4M, candidates);
        let layers = layers(candidates);
        let own = || candidates.iter().zip(&choices).filter(|(one, _)| !one.is_tied);
        let weights: f64 = own().map(|(one, _)| one.weights as f64).sum();
        let ours = own().map(|(one, choice)| match choice {
            &EIGHT_WIDE => lost(one, one.losses.eight),
            choice => {
                assert_eq!(choice, &FOUR_NARROW);
                lost(one, one.losses.four)
            }
        });
        let theirs = own().map(|(one, _)| lost(one, if is_q6_k(&one.place, layers) { q6_k } else { q4_k }));
        let relative = |squared: f64| (squared / weights).sqrt();
        (relative(ours.sum()), relative(theirs.sum()))
    }

    /// Of all matrices that a token reads, with scales of 16 bits, as our kernels keep them.
    pub(in crate::quantize) fn bits_read(level: QuantizeLevel, candidates: &[Candidate]) -> f64 {
        let choices = choose(level, candidates);
        let is_read = |(one, _): &(&Candidate, &Choice)| one.place.role != Role::Table;
        let read = || candidates.iter().zip(&choices).filter(is_read);
        let total: f64 = read()
            .map(|(one, choice)| {
                let zero_point = if choice.has_zero_points { choice.bits } else { 0 };
                let per_block = f64::from(16 + zero_point) / choice.block as f64;
                one.weights as f64 * (f64::from(choice.bits) + per_block)
            })
            .sum();
        total / read().map(|(one, _)| one.weights as f64).sum::<f64>()
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
        for candidates in decoders() {
            let levels = &QuantizeLevel::ALL[1..];
            let bits: Vec<f64> = levels.iter().map(|&level| bits(level, &candidates)).collect();
            assert!(bits.windows(2).all(|pair| pair[0] > pair[1]), "{bits:?}");
            assert!(bits[0] == 8.0 && bits[2] < 6.5, "{bits:?}");
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
            losses: TYPICAL,
        };
        assert_eq!(choose(QuantizeLevel::Q2, &[one]), [TWO]);
        assert_eq!(choose(QuantizeLevel::Q8, &[one; 2]), [EIGHT; 2]);
        assert_eq!(choose(QuantizeLevel::Q4M, &[]), []);
    }
}
