//! What one step computes where prompts run one by one: a pure decision over the states of the
//! sequences. Where everything runs together, `batch` decides.

use super::turn::Turn;

/// A sequence as the decision sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) slot: usize,
    pub(super) phase: Phase,
    /// Its reader does not keep up, or another one computes what it needs.
    pub(super) rests: bool,
    /// Its reader does not keep up.
    pub(super) is_parked: bool,
    pub(super) turn: Turn,
    /// The turn that it would have for another slice, if its last one is used up.
    pub(super) next: Option<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// So many tokens of the prompt are not computed yet.
    Prompt { remaining: usize },
    /// One token waits to be computed.
    Decode,
}

/// What to do in one step, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Slots that get one token each, in groups that run together.
    pub(super) decodes: Vec<Vec<usize>>,
    /// Slots and how many tokens of their prompts to compute: one chunk in all.
    pub(super) prompts: Vec<(usize, usize)>,
}

/// While others wait for their next token, a piece of a prompt is this much smaller.
const SHARED_PIECE: usize = 4;

/// Every sequence that can decode does, and one chunk of prompts is computed, the oldest first.
/// Short prompts share the chunk, so that those who came together decode together.
pub(super) fn plan(sequences: &[View], prompt_chunk: usize, batch_limit: usize) -> Plan {
    let awake = || sequences.iter().filter(|sequence| !sequence.rests);
    let decoding: Vec<usize> = awake()
        .filter(|sequence| sequence.phase == Phase::Decode)
        .map(|sequence| sequence.slot)
        .collect();
    let chunk = if decoding.is_empty() {
        prompt_chunk
    } else {
        prompt_chunk.div_ceil(SHARED_PIECE)
    };
    let mut waiting: Vec<(Turn, usize, usize)> = awake()
        .filter_map(|sequence| match sequence.phase {
            Phase::Prompt { remaining } => Some((sequence.turn, sequence.slot, remaining)),
            Phase::Decode => None,
        })
        .collect();
    waiting.sort_unstable();
    Plan {
        decodes: decoding
            .chunks(batch_limit.max(1))
            .map(<[usize]>::to_vec)
            .collect(),
        prompts: share(chunk.max(1), &waiting),
    }
}

/// The chunk given out in order; whoever does not get the rest of its prompt is the last.
fn share(mut chunk: usize, waiting: &[(Turn, usize, usize)]) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    for &(_, slot, remaining) in waiting {
        let piece = remaining.min(chunk);
        if piece == 0 {
            break;
        }
        chunk -= piece;
        pieces.push((slot, piece));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use airunner_core::Priority;

    use super::super::turn::turn;
    use super::*;

    fn decode(slot: usize) -> View {
        View {
            slot,
            phase: Phase::Decode,
            rests: false,
            is_parked: false,
            turn: turn(Priority::Api, slot as u64),
            next: None,
        }
    }

    fn prompt(slot: usize, remaining: usize, number: u64) -> View {
        View {
            slot,
            phase: Phase::Prompt { remaining },
            rests: false,
            is_parked: false,
            turn: turn(Priority::Api, number),
            next: None,
        }
    }

    fn parked(view: View) -> View {
        View {
            rests: true,
            is_parked: true,
            ..view
        }
    }

    #[test]
    fn every_case() {
        type Case<'c> = (&'c str, Vec<View>, usize, Vec<Vec<usize>>, Vec<(usize, usize)>);
        let (two, three) = (
            vec![prompt(0, 9, 5), prompt(1, 7, 2)],
            vec![prompt(0, 200, 0), prompt(1, 100, 1), prompt(2, 5, 2)],
        );
        let cases: Vec<Case<'_>> = vec![
            ("nothing", vec![], 8, vec![], vec![]),
            (
                "one prompt takes the whole chunk",
                vec![prompt(0, 1000, 0)],
                8,
                vec![],
                vec![(0, 256)],
            ),
            (
                "the end of a prompt",
                vec![prompt(0, 10, 0)],
                8,
                vec![],
                vec![(0, 10)],
            ),
            (
                "short prompts together, the oldest first",
                two,
                8,
                vec![],
                vec![(1, 7), (0, 9)],
            ),
            (
                "no more than the chunk",
                three,
                8,
                vec![],
                vec![(0, 200), (1, 56)],
            ),
            (
                "decodes together",
                vec![decode(0), decode(2)],
                8,
                vec![vec![0, 2]],
                vec![],
            ),
            (
                "decodes one by one",
                vec![decode(0), decode(2)],
                1,
                vec![vec![0], vec![2]],
                vec![],
            ),
            (
                "a smaller piece beside decodes",
                vec![decode(0), prompt(1, 999, 1)],
                8,
                vec![vec![0]],
                vec![(1, 64)],
            ),
            (
                "the parked rest",
                vec![parked(decode(0)), decode(1), parked(prompt(2, 5, 0))],
                8,
                vec![vec![1]],
                vec![],
            ),
            ("all parked", vec![parked(decode(0))], 8, vec![], vec![]),
        ];
        for (name, sequences, limit, decodes, prompts) in cases {
            assert_eq!(plan(&sequences, 256, limit), Plan { decodes, prompts }, "{name}");
        }
    }
}
