//! Guessing tokens from what the sequence already holds, so that one run can confirm several.
//!
//! A guess is only a guess: every token is chosen by its own row of logits as it would be
//! without, and the first that differs ends the run's use. What is sampled is therefore the same,
//! draw by draw; only the number of runs changes. Here it is decided what to guess, and whether.

use std::time::Duration;

/// Tokens guessed at once at most.
const MOST: usize = 8;

/// Sequences that may decode while somebody guesses: with more, their rows fill the run.
const FEW: usize = 2;

/// Endings that are looked for further up, the longest first: shorter ones mislead.
const ENDINGS: [usize; 2] = [4, 2];

/// What followed when the sequence last ended like this: up to `most` tokens. Where it leads
/// back to the end, the loop is gone through again.
pub(super) fn guess(tokens: &[u32], most: usize) -> Vec<u32> {
    let Some(start) = ENDINGS.iter().find_map(|&length| after_last(tokens, length)) else {
        return Vec::new();
    };
    let loop_length = tokens.len() - start;
    (0..most).map(|step| tokens[start + step % loop_length]).collect()
}

/// Where the last earlier occurrence of the final `length` tokens ends.
fn after_last(tokens: &[u32], length: usize) -> Option<usize> {
    let ending = &tokens[tokens.len().checked_sub(length)?..];
    tokens[..tokens.len() - 1]
        .windows(length)
        .rposition(|window| window == ending)
        .map(|at| at + length)
}

/// How many tokens one sequence guesses: more while it guesses right, none for a while after
/// it has been wrong several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    length: usize,
    misses: u32,
    /// Steps without a guess from here on.
    rest: u32,
    /// How long the next rest will be.
    next_rest: u32,
}

const FIRST_LENGTH: usize = 3;
const MISSES: u32 = 3;
const FIRST_REST: u32 = 8;
const LONGEST_REST: u32 = 128;

impl Default for Pace {
    fn default() -> Self {
        Self {
            length: FIRST_LENGTH,
            misses: 0,
            rest: 0,
            next_rest: FIRST_REST,
        }
    }
}

impl Pace {
    /// How many tokens to guess in this step.
    pub(super) fn ask(&mut self) -> usize {
        if self.rest > 0 {
            self.rest -= 1;
            return 0;
        }
        self.length
    }

    /// So many were guessed, and the first so many were right.
    pub(super) fn learn(&mut self, guessed: usize, right: usize) {
        if guessed == 0 {
            return;
        }
        if right > 0 {
            self.length = if right == guessed { 2 * guessed } else { right + 1 }.min(MOST);
            (self.misses, self.next_rest) = (0, FIRST_REST);
            return;
        }
        self.length = (self.length / 2).max(1);
        self.misses += 1;
        if self.misses == MISSES {
            (self.misses, self.rest) = (0, self.next_rest);
            self.next_rest = (2 * self.next_rest).min(LONGEST_REST);
        }
    }
}

/// Whether guessing pays on this machine, by the time that a token takes with it and without.
#[derive(Debug)]
pub(super) struct Worth {
    plain: Average,
    guessed: Average,
    rest: u32,
    next_rest: u32,
}

/// Steps that an average must have seen before it counts.
const ENOUGH: u32 = 6;
const FIRST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 1024;
/// Guessing is trusted again when a token takes no more than this part of the time.
const CLEARLY_LESS: f64 = 0.9;

impl Default for Worth {
    fn default() -> Self {
        Self {
            plain: Average::default(),
            guessed: Average::default(),
            rest: 0,
            next_rest: FIRST_PAUSE,
        }
    }
}

impl Worth {
    /// Whether to guess in this step.
    pub(super) fn ask(&mut self) -> bool {
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        self.plain.count >= ENOUGH
    }

    /// A step gave so many tokens in this time, with guesses or without.
    pub(super) fn learn(&mut self, is_guessed: bool, tokens: usize, time: Duration) {
        let each = time.as_secs_f64() / tokens.max(1) as f64;
        if !is_guessed {
            return self.plain.add(each);
        }
        self.guessed.add(each);
        if self.guessed.count < ENOUGH {
            return;
        }
        if self.guessed.mean > self.plain.mean {
            self.rest = self.next_rest;
            self.next_rest = (2 * self.next_rest).min(LONGEST_PAUSE);
            self.guessed = Average::default();
        } else if self.guessed.mean < CLEARLY_LESS * self.plain.mean {
            self.next_rest = FIRST_PAUSE;
        }
    }
}

/// For every number of sequences that may guess: what it is worth.
#[derive(Debug, Default)]
pub(super) struct Trial([Worth; FEW]);

impl Trial {
    /// For so many that decode, and nothing beside; `None` if they are too many.
    pub(super) fn of(&mut self, decodes: usize) -> Option<&mut Worth> {
        self.0.get_mut(decodes.checked_sub(1)?)
    }
}

/// Of the last values, older ones counting less and less.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    mean: f64,
    count: u32,
}

impl Average {
    const MEMORY: u32 = 16;

    fn add(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.mean += (value - self.mean) / f64::from(self.count.min(Self::MEMORY));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_guessed() {
        let cases: [(&[u32], usize, &[u32]); 7] = [
            (&[], 4, &[]),
            (&[1, 2, 3], 4, &[]),
            (&[1, 2, 3, 4, 5, 9, 1, 2], 3, &[3, 4, 5]),
            // The last occurrence counts, of the longer ending before the shorter.
            (&[1, 2, 3, 7, 1, 2, 4, 8, 1, 2], 2, &[4, 8]),
            (&[5, 6, 1, 2, 3, 9, 1, 2, 4, 5, 6, 1, 2], 1, &[3]),
            (&[7, 7, 7], 4, &[7, 7, 7, 7]),
            (&[1, 2, 1, 2], 5, &[1, 2, 1, 2, 1]),
        ];
        for (tokens, most, expected) in cases {
            assert_eq!(guess(tokens, most), expected, "{tokens:?}");
        }
    }

    #[test]
    fn the_pace_follows_success() {
        let mut pace = Pace::default();
        let lengths: Vec<usize> = (0..3)
            .map(|_| {
                let length = pace.ask();
                pace.learn(length, length);
                length
            })
            .collect();
        assert_eq!(lengths, [3, 6, 8]);
        pace.learn(8, 2);
        assert_eq!(pace.ask(), 3);
        (0..3).for_each(|_| pace.learn(3, 0));
        let rest = (0..50).take_while(|_| pace.ask() == 0).count();
        assert_eq!(rest, FIRST_REST as usize);
        (0..3).for_each(|_| pace.learn(1, 0));
        let rest = (0..50).take_while(|_| pace.ask() == 0).count();
        assert_eq!(rest, 2 * FIRST_REST as usize, "longer, as it still does not help");
    }

    /// Guesses of 1000 steps where a step takes `plain` or `guessed` ms, and gives 1 or 2 tokens.
    fn guesses(plain: u64, guessed: u64) -> usize {
        let mut worth = Worth::default();
        (0..1000)
            .filter(|_| {
                let guess = worth.ask();
                let (tokens, time) = if guess { (2, guessed) } else { (1, plain) };
                worth.learn(guess, tokens, Duration::from_millis(time));
                guess
            })
            .count()
    }

    #[test]
    fn guessing_goes_on_only_where_it_pays() {
        assert_eq!(guesses(20, 24), 1000 - ENOUGH as usize);
        let tried = guesses(20, 44);
        assert!((ENOUGH as usize..60).contains(&tried), "{tried}");
    }

    proptest! {
        #[test]
        fn a_guess_is_what_followed_the_same_ending(
            tokens in prop::collection::vec(0_u32..4, 0..60),
            most in 0..=MOST,
        ) {
            let guessed = guess(&tokens, most);
            let ended = |length: usize| (length..tokens.len())
                .rev()
                .find(|&end| tokens[end - length..end] == tokens[tokens.len() - length..]);
            let start = ENDINGS.into_iter().filter(|&length| length < tokens.len()).find_map(ended);
            match start {
                None => prop_assert!(guessed.is_empty()),
                Some(start) => {
                    prop_assert_eq!(guessed.len(), most);
                    let mut sequence = tokens.clone();
                    for (step, token) in guessed.into_iter().enumerate() {
                        prop_assert_eq!(token, sequence[start + step]);
                        sequence.push(token);
                    }
                }
            }
        }

        #[test]
        fn the_pace_stays_in_its_bounds_and_always_tries_again(
            rights in prop::collection::vec(0..=MOST, 1..200),
        ) {
            let (mut pace, mut silent) = (Pace::default(), 0);
            for right in rights {
                let length = pace.ask();
                prop_assert!(length <= MOST);
                silent = if length == 0 { silent + 1 } else { 0 };
                prop_assert!(silent <= LONGEST_REST);
                pace.learn(length, right.min(length));
            }
        }
    }
}
