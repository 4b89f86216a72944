//! What results do not depend on.

use super::cases::Random;
use super::reference::any_case;
use super::*;
use proptest::prelude::*;

fn bits(rows: &[f32]) -> Vec<u32> {
    // Zeros are the same whatever their sign.
    rows.iter().map(|number| (number + 0.0).to_bits()).collect()
}

/// The new tokens of a sequence in several steps.
fn in_pieces(case: &Case, index: usize, cuts: &[usize], isa: Isa) -> Vec<f32> {
    let pool = case.pool(isa, &Serial);
    let width = case.geometry.query_heads() * case.geometry.head_size();
    let tokens = &case.sequences[index];
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (tokens.rows + 1)).collect();
    cuts.extend([0, tokens.rows]);
    cuts.sort_unstable();
    let mut rows = vec![];
    for cut in cuts.windows(2) {
        let mut piece = case.clone();
        let part = &mut piece.sequences[index];
        part.past += cut[0];
        part.rows = cut[1] - cut[0];
        part.queries = tokens.queries[cut[0] * width..cut[1] * width].to_vec();
        rows.extend(
            piece
                .attend(&pool, &[index], isa, &Serial, &mut Scratch::default())
                .remove(0),
        );
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_is_the_same_alone_and_among_others_and_in_pieces(
        case in any_case(),
        threads in 1_usize..20,
        cuts in prop::collection::vec(0_usize..40, 0..3),
    ) {
        for isa in Isa::available() {
            let pool = case.pool(isa, &Serial);
            let all: Vec<usize> = (0..case.sequences.len()).collect();
            let mut scratch = Scratch::default();
            let together = case.attend(&pool, &all, isa, &Threads(threads), &mut scratch);
            for (index, rows) in together.iter().enumerate() {
                let alone = case.attend(&pool, &[index], isa, &Serial, &mut scratch).remove(0);
                prop_assert_eq!(bits(rows), bits(&alone), "{}", isa);
                prop_assert_eq!(bits(rows), bits(&in_pieces(&case, index, &cuts, isa)), "{}", isa);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_reaches_only_those_who_see_it(
        mut case in any_case(),
        place in any::<prop::sample::Index>(),
        what in prop::sample::select(vec![f32::NAN, f32::INFINITY]),
        key in any::<bool>(),
    ) {
        // Infinities in a cache of 8 bits are not numbers there.
        prop_assume!(case.sequences[0].rows > 0);
        let width = case.geometry.key_value_heads() * case.geometry.head_size();
        let clean = case.clone();
        let tokens = &mut case.sequences[0];
        let token = place.index(tokens.past + tokens.rows);
        let numbers = if key { &mut tokens.keys } else { &mut tokens.values };
        numbers[token * width..][..width].fill(what);
        for isa in Isa::available() {
            let results = [&clean, &case].map(|case| {
                let all: Vec<usize> = (0..case.sequences.len()).collect();
                let pool = case.pool(isa, &Serial);
                case.attend(&pool, &all, isa, &Threads(2), &mut Scratch::default())
            });
            for (index, (clean, spoiled)) in results[0].iter().zip(&results[1]).enumerate() {
                let row_width = case.geometry.query_heads() * case.geometry.head_size();
                for (row, (clean, spoiled)) in clean.chunks(row_width).zip(spoiled.chunks(row_width)).enumerate() {
                    let position = case.sequences[index].past + row;
                    let sees = index == 0
                        && token <= position
                        && case.window.is_none_or(|window| token + window > position);
                    if !sees {
                        prop_assert_eq!(bits(clean), bits(spoiled), "{}", isa);
                    } else if what.is_nan() || case.geometry.element() == Element::I8 {
                        prop_assert!(spoiled.iter().all(|number| number.is_nan()), "{isa}: {spoiled:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_left_in_a_block_from_before_does_not_matter() {
    for element in [Element::F32, Element::F16, Element::I8] {
        let geometry = Geometry::new(4, 1, 20, 32, element).unwrap();
        let case = Case::new(geometry, &[(3, 2)], &mut Random::new(3));
        for isa in Isa::available() {
            let clean = case.attend(
                &case.pool(isa, &Serial),
                &[0],
                isa,
                &Serial,
                &mut Scratch::default(),
            );
            let mut pool = case.pool(isa, &Serial);
            let block = case.sequences[0].blocks[0];
            // All bits set are no number as a scale or a number of 32 or 16 bits.
            pool.block_mut(block).unwrap().fill(0xff);
            let width = geometry.head_size();
            let new = Append {
                sequences: &[Sequence {
                    first_row: 0,
                    rows: 5,
                    past: 0,
                    blocks: &[block],
                }],
                keys: Rows {
                    numbers: &case.sequences[0].keys,
                    stride: width,
                },
                values: Rows {
                    numbers: &case.sequences[0].values,
                    stride: width,
                },
                rotary: None,
            };
            append(&mut pool, &new, isa, &Serial).unwrap();
            let spoiled = case.attend(&pool, &[0], isa, &Serial, &mut Scratch::default());
            assert_eq!(bits(&clean[0]), bits(&spoiled[0]), "{isa}");
        }
    }
}

#[test]
fn a_copied_block_can_take_the_place_of_the_first() {
    let geometry = Geometry::new(2, 2, 16, 16, Element::I8).unwrap();
    let mut case = Case::new(geometry, &[(20, 3)], &mut Random::new(5));
    let isa = Isa::best();
    let mut pool = case.pool(isa, &Serial);
    let before = case.attend(&pool, &[0], isa, &Serial, &mut Scratch::default());
    let free = (0..5)
        .find(|block| !case.sequences[0].blocks.contains(block))
        .unwrap();
    let from = std::mem::replace(&mut case.sequences[0].blocks[0], free);
    pool.copy_block(from, free).unwrap();
    pool.block_mut(from).unwrap().fill(0);
    let after = case.attend(&pool, &[0], isa, &Serial, &mut Scratch::default());
    assert_eq!(before, after);
}
