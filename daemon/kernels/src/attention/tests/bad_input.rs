//! Arguments that do not fit together.

use super::*;

const WIDTH: usize = 2 * 16;

fn pool() -> Pool {
    Pool::new(Geometry::new(2, 1, 16, 16, Element::F32).unwrap(), 4).unwrap()
}

const OPTIONS: Options<'static> = Options {
    scale: 1.0,
    softcap: None,
    window: None,
    sinks: None,
};

fn try_attend(sequences: &[Sequence<'_>], options: Options<'_>) -> Result<(), AttentionError> {
    let numbers = [0.5; 8 * WIDTH];
    let call = Attend {
        sequences,
        queries: Rows {
            numbers: &numbers,
            stride: WIDTH,
        },
        rotary: None,
        options,
    };
    let mut out = [0.0; 8 * WIDTH];
    attend(
        &pool(),
        &call,
        &mut out,
        &mut Scratch::default(),
        Isa::best(),
        &Serial,
    )
}

fn try_plainly(sequences: &[Sequence<'_>]) -> Result<(), AttentionError> {
    try_attend(sequences, OPTIONS)
}

fn try_append(sequences: &[Sequence<'_>]) -> Result<(), AttentionError> {
    let numbers = [0.5; 8 * 16];
    let rows = Rows {
        numbers: &numbers,
        stride: 16,
    };
    append(
        &mut pool(),
        &Append {
            sequences,
            keys: rows,
            values: rows,
            rotary: None,
        },
        Isa::best(),
        &Serial,
    )
}

#[test]
fn tables_that_are_short_or_name_blocks_that_are_not_there_are_refused() {
    let sequence = |past, rows, blocks| {
        [Sequence {
            first_row: 0,
            rows,
            past,
            blocks,
        }]
    };
    let table = |have, need| {
        Err(AttentionError::Table {
            sequence: 0,
            have,
            need,
        })
    };
    let block = |block| {
        Err(AttentionError::Block {
            sequence: 0,
            block,
            blocks: 4,
        })
    };
    for call in [try_append, try_plainly] {
        assert_eq!(call(&sequence(15, 2, &[3])), table(1, 2));
        assert_eq!(call(&sequence(0, 1, &[])), table(0, 1));
        assert_eq!(call(&sequence(16, 1, &[0, 4])), block(4));
        assert_eq!(call(&sequence(16, 1, &[0, u32::MAX])), block(u32::MAX));
        assert!(matches!(
            call(&sequence(usize::MAX, 2, &[0])),
            Err(AttentionError::Table { .. })
        ));
        assert_eq!(call(&sequence(16, 1, &[0, 1])), Ok(()));
        assert_eq!(call(&sequence(usize::MAX, 0, &[])), Ok(()));
        assert_eq!(call(&[]), Ok(()));
    }
    assert_eq!(try_attend(&sequence(16, 1, &[9, 0]), OPTIONS), block(9));
}

#[test]
fn blocks_before_the_window_are_not_looked_at() {
    let options = Options {
        window: Some(3),
        ..OPTIONS
    };
    let sequence = [Sequence {
        first_row: 0,
        rows: 2,
        past: 34,
        blocks: &[u32::MAX, 77, 1],
    }];
    assert_eq!(try_attend(&sequence, options), Ok(()));
    let sequence = [Sequence {
        past: 33,
        ..sequence[0]
    }];
    assert!(matches!(
        try_attend(&sequence, options),
        Err(AttentionError::Block { block: 77, .. })
    ));
    let block = [Sequence {
        first_row: 0,
        rows: 1,
        past: 32,
        blocks: &[u32::MAX, 77, 1],
    }];
    assert_eq!(try_append(&block), Ok(()));
}

#[test]
fn rows_that_overlap_or_are_not_there_are_refused() {
    let sequence = |first_row, rows| Sequence {
        first_row,
        rows,
        past: 0,
        blocks: &[0],
    };
    let overlap = Err(AttentionError::Overlap {
        sequence: 1,
        first_row: 1,
    });
    let too_far = [sequence(7, 2)];
    let endless = [sequence(usize::MAX, 1)];
    for call in [try_append, try_plainly] {
        assert_eq!(call(&[sequence(0, 2), sequence(1, 1)]), overlap);
        assert!(matches!(call(&too_far), Err(AttentionError::TooShort { .. })));
        assert!(matches!(call(&endless), Err(AttentionError::TooShort { .. })));
    }
    let mut out = [0.0; WIDTH - 1];
    let numbers = [0.0; WIDTH];
    let queries = Rows {
        numbers: &numbers,
        stride: WIDTH,
    };
    let call = Attend {
        sequences: &[sequence(0, 1)],
        queries,
        rotary: None,
        options: OPTIONS,
    };
    let short = attend(
        &pool(),
        &call,
        &mut out,
        &mut Scratch::default(),
        Isa::best(),
        &Serial,
    );
    let (have, need) = (WIDTH - 1, WIDTH);
    assert_eq!(
        short,
        Err(AttentionError::TooShort {
            name: "results",
            have,
            need
        })
    );
    let queries = Rows {
        numbers: &numbers,
        stride: WIDTH - 1,
    };
    let call = Attend {
        sequences: &[sequence(0, 2)],
        queries,
        ..call
    };
    let narrow = attend(
        &pool(),
        &call,
        &mut out,
        &mut Scratch::default(),
        Isa::best(),
        &Serial,
    );
    assert!(matches!(
        narrow,
        Err(AttentionError::Stride { name: "queries", .. })
    ));
}

#[test]
fn options_without_sense_are_refused() {
    let sequences = [Sequence {
        first_row: 0,
        rows: 1,
        past: 0,
        blocks: &[0],
    }];
    for options in [
        Options {
            scale: f32::NAN,
            ..OPTIONS
        },
        Options {
            softcap: Some(0.0),
            ..OPTIONS
        },
        Options {
            softcap: Some(f32::INFINITY),
            ..OPTIONS
        },
        Options {
            window: Some(0),
            ..OPTIONS
        },
    ] {
        assert!(matches!(
            try_attend(&sequences, options),
            Err(AttentionError::Option { .. })
        ));
    }
    let sinks = try_attend(
        &sequences,
        Options {
            sinks: Some(&[0.0]),
            ..OPTIONS
        },
    );
    assert_eq!(sinks, Err(AttentionError::Sinks { have: 1, need: 2 }));
}

#[test]
fn positions_beyond_the_rotary_tables_are_refused() {
    let numbers = [0.5; 16];
    let rows = Rows {
        numbers: &numbers,
        stride: 16,
    };
    let rotary = Rotary {
        cos: &[1.0; 6],
        sin: &[0.0; 6],
        dimensions: 4,
        interleaved: false,
    };
    let mut pool = pool();
    for (past, fits) in [(2, true), (3, false)] {
        let sequences = [Sequence {
            first_row: 0,
            rows: 1,
            past,
            blocks: &[0],
        }];
        let new = Append {
            sequences: &sequences,
            keys: rows,
            values: rows,
            rotary: Some(rotary),
        };
        let refused = AttentionError::Position {
            sequence: 0,
            position: 3,
            positions: 3,
        };
        let expected = if fits { Ok(()) } else { Err(refused) };
        assert_eq!(append(&mut pool, &new, Isa::best(), &Serial), expected);
    }
}
