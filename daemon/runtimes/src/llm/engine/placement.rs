//! Which slot a new request takes, and what it can reuse: a pure decision.

/// What lies in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Occupant<'t> {
    Free,
    /// What a finished sequence left: its computed tokens, and when it was used last.
    Idle {
        tokens: &'t [u32],
        used: u64,
    },
    /// The computed tokens of a sequence at work.
    Active {
        tokens: &'t [u32],
    },
}

impl<'t> Occupant<'t> {
    fn tokens(self) -> &'t [u32] {
        match self {
            Self::Free => &[],
            Self::Idle { tokens, .. } | Self::Active { tokens } => tokens,
        }
    }

    /// Free before idle, the one idle for longest before others; `None` for those at work.
    fn age(self) -> Option<u64> {
        match self {
            Self::Free => Some(0),
            Self::Idle { used, .. } => Some(used + 1),
            Self::Active { .. } => None,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) slot: usize,
    /// Tokens of the prompt that need not be computed.
    pub(super) reused: usize,
    /// Where they are, if not in the slot itself.
    pub(super) copy_from: Option<usize>,
}

/// Fewer tokens are computed sooner than copied.
const WORTH_COPYING: usize = 16;

/// `None` if every slot is at work. At least one token of the prompt is always left to compute,
/// since its logits choose the first token.
pub(super) fn place(slots: &[Occupant<'_>], prompt: &[u32]) -> Option<Placement> {
    let reusable = &prompt[..prompt.len().saturating_sub(1)];
    let common = |slot: &Occupant<'_>| {
        slot.tokens()
            .iter()
            .zip(reusable)
            .take_while(|(held, wanted)| held == wanted)
            .count()
    };
    let oldest = |except: Option<usize>| {
        let candidates = slots
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != except);
        candidates
            .filter_map(|(index, slot)| slot.age().map(|age| (age, index)))
            .min()
            .map(|(_, index)| index)
    };
    let best = (0..slots.len()).max_by_key(|&slot| (common(&slots[slot]), slots[slot].age(), slot))?;
    let reused = common(&slots[best]);
    let in_place = Placement {
        slot: best,
        reused,
        copy_from: None,
    };
    let is_idle = slots[best].age().is_some();
    let lost = slots[best].tokens().len() - reused;
    let fresh = oldest(is_idle.then_some(best));
    if reused == 0 {
        return oldest(None).map(|slot| Placement {
            slot,
            reused: 0,
            copy_from: None,
        });
    }
    match fresh {
        // What would be overwritten is worth more than what is reused: leave it where it is.
        Some(slot) if lost > reused || !is_idle => Some(if reused >= WORTH_COPYING {
            Placement {
                slot,
                reused,
                copy_from: Some(best),
            }
        } else {
            Placement {
                slot,
                reused: common(&slots[slot]),
                copy_from: None,
            }
        }),
        Some(_) => Some(in_place),
        None => is_idle.then_some(in_place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(slot: usize, reused: usize, copy_from: Option<usize>) -> Option<Placement> {
        Some(Placement {
            slot,
            reused,
            copy_from,
        })
    }

    #[test]
    fn every_case() {
        let long: Vec<u32> = (0..100).collect();
        let (prompt, other) = (&long[..40], [900, 901, 902]);
        let idle = |tokens, used| Occupant::Idle { tokens, used };
        let active = |tokens| Occupant::Active { tokens };
        let cases: Vec<(&str, Vec<Occupant<'_>>, Option<Placement>)> = vec![
            (
                "free slots from the front",
                vec![Occupant::Free, Occupant::Free],
                at(0, 0, None),
            ),
            (
                "nothing in common: a free one",
                vec![idle(&other, 1), Occupant::Free],
                at(1, 0, None),
            ),
            (
                "nothing in common: the oldest",
                vec![idle(&other, 9), idle(&other, 3)],
                at(1, 0, None),
            ),
            (
                "a conversation goes on",
                vec![Occupant::Free, idle(&long[..30], 5)],
                at(1, 30, None),
            ),
            (
                "the longest beginning",
                vec![idle(&long[..10], 9), idle(&long[..30], 5)],
                at(1, 30, None),
            ),
            (
                "one token is left to compute",
                vec![idle(&long[..40], 5)],
                at(0, 39, None),
            ),
            (
                "a long answer is kept for its own turn",
                vec![idle(&long, 5), Occupant::Free],
                at(1, 39, Some(0)),
            ),
            ("no other place for it", vec![idle(&long, 5)], at(0, 39, None)),
            (
                "a few tokens are not worth a copy",
                vec![active(&long[..5]), Occupant::Free],
                at(1, 0, None),
            ),
            (
                "a beginning in use is copied",
                vec![active(&long[..30]), idle(&other, 1)],
                at(1, 30, Some(0)),
            ),
            ("all at work", vec![active(&long[..30])], None),
            ("no slots", vec![], None),
        ];
        for (name, slots, expected) in cases {
            assert_eq!(place(&slots, prompt), expected, "{name}");
        }
    }
}
