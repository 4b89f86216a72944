//! Tokens chosen on several threads, and after guesses, are those that one thread chooses one by
//! one.

use std::sync::atomic::AtomicUsize;

use airunner_core::generate::ClientId;
use ort::value::Tensor;

use super::*;
use crate::llm::engine::sampling_pool::{Draw, Samplers};
use crate::llm::engine::sequence::{Sequence, Waiting};
use crate::llm::tensor::Float;

const VOCABULARY: usize = 200;

/// Sequences with company of their own seed, none of which ends by itself.
fn sequences(text: &TextModel, seeds: std::ops::Range<u64>, sampling: &Sampling) -> Vec<Sequence> {
    limited(text, seeds, sampling, 10_000)
}

fn limited(
    text: &TextModel,
    seeds: std::ops::Range<u64>,
    sampling: &Sampling,
    limit: usize,
) -> Vec<Sequence> {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut turns = Turns::default();
    let mut sequence = |seed: u64| {
        let input = Input::Raw("the quick brown fox".to_owned());
        let request = GenerateRequest::new(ModelName::new("x").unwrap(), input);
        let prompt = text.prompt(&request.input, 256).unwrap();
        let sampling = Sampling {
            seed: Some(seed),
            ..sampling.clone()
        };
        let request = Request {
            sampler: Sampler::new(&sampling, Some(0), seed, &prompt.tokens),
            output: text.output(&request, &prompt, seed),
            prompt: prompt.tokens,
            constraint: None,
            limit,
            events: mpsc::channel(4).0,
            arrived: Instant::now(),
            place: Place::take(&taken, usize::MAX).unwrap(),
            client: ClientId::default(),
            is_private: false,
            priority: Priority::Api,
            position: None,
        };
        let claim = turns.enter(ClientId::default(), Priority::Api, false);
        *Waiting::New(Box::new(request), claim).admit(0)
    };
    seeds.map(&mut sequence).collect()
}

fn random(rows: usize, salt: u64) -> Vec<f32> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 4000) as f32 / 1000.0
    };
    std::iter::repeat_with(next).take(rows * VOCABULARY).collect()
}

fn logits(values: Vec<f32>) -> Logits {
    let rows = values.len() / VOCABULARY;
    let value = Tensor::from_array(([1, rows, VOCABULARY], values))
        .unwrap()
        .into_dyn();
    Logits::of_rows(value, Float::F32, rows).unwrap()
}

fn varied() -> Sampling {
    Sampling {
        temperature: Some(0.9),
        repetition_penalty: Some(1.2),
        ..Sampling::default()
    }
}

#[test]
fn several_threads_choose_what_one_chooses() {
    let (_, _, text) = open("llama-gqa");
    let tokens = |threads: usize| {
        let mut samplers = Samplers::default();
        let mut all = sequences(&text, 0..7, &varied());
        for round in 0..20 {
            let logits = logits(random(all.len(), round));
            let mut draws: Vec<Draw<'_>> = all
                .iter_mut()
                .enumerate()
                .map(|(row, sequence)| Draw {
                    sequence,
                    row,
                    guessed: &[],
                })
                .collect();
            for end in samplers.sample_with(&mut draws, &logits, threads) {
                assert!(!end.unwrap());
            }
        }
        let tokens = all.iter().map(|sequence| sequence.tokens.clone());
        tokens.collect::<Vec<_>>()
    };
    let expected = tokens(1);
    assert!(expected.windows(2).any(|pair| pair[0] != pair[1]), "seeds count");
    for threads in [2, 3, 7] {
        assert_eq!(tokens(threads), expected, "{threads} threads");
    }
}

#[test]
fn a_fault_of_one_is_not_the_others_on_any_thread() {
    let (_, _, text) = open("llama-gqa");
    for threads in [1, 3] {
        let mut all = sequences(&text, 0..4, &varied());
        let mut values = random(4, 1);
        values[3 * VOCABULARY..].fill(f32::NAN);
        let logits = logits(values);
        let mut draws: Vec<Draw<'_>> = all
            .iter_mut()
            .enumerate()
            .map(|(row, sequence)| Draw {
                sequence,
                row,
                guessed: &[],
            })
            .collect();
        let ends = Samplers::default().sample_with(&mut draws, &logits, threads);
        let failed: Vec<bool> = ends.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, false, true], "the last has no numbers");
    }
}

/// What is likeliest in each row.
fn likeliest(rows: &Logits, count: usize) -> Vec<u32> {
    let likeliest = |row: usize| {
        let row = rows.row(row).unwrap();
        (0..VOCABULARY as u32)
            .max_by(|left, right| row[*left as usize].total_cmp(&row[*right as usize]))
            .unwrap()
    };
    (0..count).map(likeliest).collect()
}

fn guess(sequence: &mut Sequence, rows: &Logits, guessed: &[u32]) -> bool {
    let mut draws = [Draw {
        sequence,
        row: 0,
        guessed,
    }];
    let mut ends = Samplers::default().sample_with(&mut draws, rows, 1);
    ends.remove(0).unwrap()
}

/// A guess takes no draw of its own: token for token the same is said with guesses and without,
/// so whatever the logits and the penalties, it is distributed as they say.
#[test]
fn guesses_keep_every_draw_and_so_the_distribution() {
    let (_, _, text) = open("llama-gqa");
    let rows = logits(random(4, 9));
    let cold = Sampling {
        temperature: Some(0.3),
        ..Sampling::default()
    };
    for sampling in [cold, varied()] {
        let seeds = 0..1000_u64;
        let mut plain = sequences(&text, seeds.clone(), &sampling);
        for sequence in &mut plain {
            for row in 0..4 {
                sequence.choose(rows.row(row).unwrap()).unwrap();
            }
        }
        let guessed = likeliest(&rows, 3);
        let mut gains = [0; 5];
        for (mut sequence, plain) in sequences(&text, seeds, &sampling).into_iter().zip(&plain) {
            let before = sequence.tokens.len();
            assert!(!guess(&mut sequence, &rows, &guessed));
            let gained = sequence.tokens.len() - before;
            assert_eq!(sequence.tokens[before..], plain.tokens[before..][..gained]);
            let agreed = plain.tokens[before..].iter().zip(&guessed);
            let agreed = agreed.take_while(|(chosen, guess)| chosen == guess).count();
            assert_eq!(
                gained,
                agreed + 1,
                "as far as the guesses were right, and one more"
            );
            gains[gained] += 1;
        }
        assert!(gains[1] > 0 && gains[2] > 0, "right and wrong guesses: {gains:?}");
    }
}

#[test]
fn an_end_within_right_guesses_is_the_end() {
    let (_, _, text) = open("llama-gqa");
    let rows = logits(random(4, 9));
    let greedy = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    let guessed = likeliest(&rows, 3);
    for (limit, expected) in [(2, 2), (3, 3), (4, 4), (5, 4)] {
        let mut sequence = limited(&text, 0..1, &greedy, limit).remove(0);
        let before = sequence.tokens.len();
        assert_eq!(guess(&mut sequence, &rows, &guessed), limit < 5, "{limit}");
        assert_eq!(sequence.tokens.len() - before, expected);
        assert_eq!(sequence.tokens[before..][..2], guessed[..2]);
    }
}
