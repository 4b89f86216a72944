use super::fake::FakePages;
use super::*;

fn paged(
    slots: usize,
) -> (
    Paged<FakePages>,
    std::sync::Arc<std::sync::Mutex<super::fake::Record>>,
) {
    let (pages, record) = FakePages::new(200);
    (Paged::new(pages, slots, 256, usize::MAX), record)
}

fn hold(paged: &mut Paged<FakePages>, slot: usize, tokens: &[u32]) {
    paged.begin(slot, tokens).unwrap();
    let rest = &tokens[paged.pool.length(slot)..];
    paged.pool.reserve(slot, rest.len()).unwrap();
    paged.allocate().unwrap();
    paged.commit(slot, rest);
}

#[test]
fn pieces_lie_one_behind_the_other() {
    let (mut paged, _) = paged(3);
    let prompt: Vec<u32> = (0..40).collect();
    hold(&mut paged, 1, &prompt);
    paged.begin(0, &[7, 8, 9]).unwrap();
    let pieces = [
        Piece {
            slot: 1,
            tokens: &[50, 51],
            wanted: Wanted::All,
        },
        Piece {
            slot: 0,
            tokens: &[7, 8],
            wanted: Wanted::Nothing,
        },
        Piece {
            slot: 2,
            tokens: &[3, 4],
            wanted: Wanted::Last,
        },
    ];
    for piece in &pieces {
        paged.pool.reserve(piece.slot, piece.tokens.len()).unwrap();
    }
    let packed = paged.pack(&pieces).unwrap();
    let expected = Packed {
        tokens: vec![50, 51, 7, 8, 3, 4],
        positions: vec![40, 41, 0, 1, 0, 1],
        wanted: vec![0, 1, 5],
    };
    assert_eq!(packed, expected);
    let extent = |first_row, past, blocks: &[BlockId]| Extent {
        first_row,
        rows: 2,
        past,
        blocks: blocks.to_vec(),
    };
    let expected = [extent(0, 40, &[0, 1]), extent(2, 0, &[2]), extent(4, 0, &[3])];
    assert_eq!(paged.pages.step(), expected);
    let nothing = paged.pack(&pieces[1..2]).unwrap();
    assert_eq!(nothing.wanted, [1], "a row that nobody looks at");
}

#[test]
fn memory_that_no_sequence_uses_is_given_back() {
    let (mut paged, record) = paged(2);
    let all = 2 * (256 / BLOCK_TOKENS + SPARE_BLOCKS);
    let prompt: Vec<u32> = (0..70).collect();
    hold(&mut paged, 0, &prompt);
    hold(&mut paged, 1, &[&prompt[..60], &[1, 2, 3]].concat());
    assert_eq!(record.lock().unwrap().copies, 1, "a part of the second block");
    assert_eq!(record.lock().unwrap().blocks, all);
    paged.leave(0);
    paged.trim();
    assert_eq!(record.lock().unwrap().blocks, all, "slot 1 is at work");
    let mut given_back = record.lock().unwrap().given_back.clone();
    given_back.sort_unstable();
    assert_eq!(given_back, [1, 2], "what it does not use");
    Cache::release(&mut paged);
    assert_eq!((record.lock().unwrap().blocks, paged.available()), (0, all));
    hold(&mut paged, 0, &prompt);
    assert_eq!((record.lock().unwrap().blocks, paged.available()), (all, all - 3));
}

#[test]
fn slots_are_cut_and_copied() {
    let (mut paged, record) = paged(2);
    let tokens: Vec<u32> = (0..70).collect();
    hold(&mut paged, 0, &tokens);
    paged.copy(0, 1, 40).unwrap();
    paged.truncate(0, 64).unwrap();
    assert_eq!((paged.pool.length(0), paged.pool.length(1)), (64, 40));
    assert_eq!(paged.pool.table(0)[..1], paged.pool.table(1)[..1]);
    assert_eq!(record.lock().unwrap().copies, 1);
    paged.truncate(0, 0).unwrap();
    paged.truncate(1, 0).unwrap();
    assert_eq!(paged.available(), 18);
}

#[test]
fn no_more_blocks_than_memory_is_reserved_for() {
    let each = 256 / BLOCK_TOKENS + SPARE_BLOCKS;
    for (reserved, expected) in [(0, each), (each + 3, each + 3), (usize::MAX, 4 * each)] {
        let (pages, _) = FakePages::new(200);
        let paged = Paged::new(pages, 4, 256, reserved);
        assert_eq!(paged.available(), expected, "{reserved}");
    }
}
