//! Attention of the new tokens of a step over all tokens of their sequences.

use super::scratch::{Workspace, claim};
use super::simd::dispatch;
use super::step::{Checked, check_length};
use super::stored::Stored;
use super::tile::{Add, Common, Finish, Join, Piece, Prepare};
use super::{AttentionError, Element, Options, Pool, Rotary, Rows, Scratch, Sequence};
use crate::shared::Shared;
use crate::{Isa, Parallel};
use std::marker::PhantomData;

/// New queries of all sequences of a step: rows of `query_heads * head_size`.
#[derive(Clone, Copy, Debug)]
pub struct Attend<'a> {
    pub sequences: &'a [Sequence<'a>],
    pub queries: Rows<'a>,
    /// How queries are rotated; `None` where they are already.
    pub rotary: Option<Rotary<'a>>,
    pub options: Options<'a>,
}

/// Computes the attention of each new token over those before it and itself. The keys and values
/// of the new tokens are in the pool already. `out` gets rows of `query_heads * head_size`; rows
/// of no sequence are left as they are.
///
/// # Errors
///
/// Nothing is written where the block tables, rows, rotary tables or options do not fit together.
pub fn attend(
    pool: &Pool,
    call: &Attend<'_>,
    out: &mut [f32],
    scratch: &mut Scratch,
    isa: Isa,
    parallel: &dyn Parallel,
) -> Result<(), AttentionError> {
    let step = Checked::new(pool, call.sequences, call.rotary.as_ref(), call.options.window)?;
    let heads = step.geometry.query_heads();
    call.options.check(heads)?;
    step.check_rows("queries", &call.queries, heads)?;
    let width = heads * step.geometry.head_size();
    check_length("results", out.len(), step.rows.saturating_mul(width))?;
    scratch.plan.make(&step, call.options.window, parallel.threads());
    scratch.grow(parallel.threads());
    let common = Common {
        step: &step,
        call,
        pool: pool.bytes(),
        out: Shared::new(out),
    };
    match step.geometry.element() {
        Element::F32 => attend_as::<f32>(&common, scratch, isa, parallel),
        Element::F16 => attend_as::<u16>(&common, scratch, isa, parallel),
        Element::I8 => attend_as::<i8>(&common, scratch, isa, parallel),
    }
    Ok(())
}

fn attend_as<E: Stored>(common: &Common<'_>, scratch: &mut Scratch, isa: Isa, parallel: &dyn Parallel) {
    let geometry = &common.step.geometry;
    let heads = geometry.key_value_heads();
    let Scratch {
        plan,
        partial,
        workspaces,
    } = scratch;
    let (tiles, pieces) = (&plan.tiles, &plan.pieces);
    let partial = Shared::new(partial);
    let piece = |tile: usize, head: usize| Piece {
        common,
        tile: &tiles[tile],
        head,
    };
    if pieces.is_empty() {
        parallel.run(tiles.len() * heads, &|number| {
            let piece = piece(number % tiles.len(), number / tiles.len());
            let mut room = claim(workspaces, number);
            let Workspace {
                queries,
                states,
                scores,
                head,
            } = room.grown(&piece);
            dispatch(isa, Prepare { piece, queries, head });
            let partitions = piece.tile.partitions();
            dispatch(
                isa,
                Add::<E> {
                    piece,
                    partitions,
                    queries,
                    scores,
                    states,
                    element: PhantomData,
                },
            );
            dispatch(isa, Finish { piece, states });
        });
        return;
    }
    let run = plan.run(heads, parallel.threads());
    let runs = pieces.len().div_ceil(run);
    parallel.run(runs * heads, &|number| {
        let mut room = claim(workspaces, number);
        let mut prepared = None;
        for &(tile, partition) in pieces.chunks(run).nth(number % runs).unwrap_or_default() {
            let piece = piece(tile, number / runs);
            // SAFETY: the sums of each tile, partition and head have their own place.
            #[expect(unsafe_code, reason = "tasks write different sums")]
            let states = unsafe { partial.part(piece.partial(partition)) };
            let Workspace {
                queries,
                scores,
                head,
                ..
            } = room.grown(&piece);
            if prepared != Some(tile) {
                dispatch(isa, Prepare { piece, queries, head });
                prepared = Some(tile);
            }
            let partitions = partition..partition + 1;
            dispatch(
                isa,
                Add::<E> {
                    piece,
                    partitions,
                    queries,
                    scores,
                    states,
                    element: PhantomData,
                },
            );
        }
    });
    parallel.run(tiles.len() * heads, &|number| {
        let piece = piece(number % tiles.len(), number / tiles.len());
        let mut room = claim(workspaces, number);
        let Workspace { states, .. } = room.grown(&piece);
        dispatch(
            isa,
            Join {
                piece,
                partial: &partial,
                states,
            },
        );
        dispatch(isa, Finish { piece, states });
    });
}
