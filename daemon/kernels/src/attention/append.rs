//! Puts the keys and values of new tokens into their blocks.

use super::rotary::rotated;
use super::simd::{Job, Simd, dispatch};
use super::step::Checked;
use super::stored::{PanelMut, Stored};
use super::{AttentionError, Element, LANES, Pool, Rotary, Rows, Sequence};
use crate::shared::Shared;
use crate::{Isa, Parallel};
use std::marker::PhantomData;

/// Vectors of the largest head.
const MOST_VECTORS: usize = 1024 / LANES;

/// New keys and values of all sequences of a step: rows of `key_value_heads * head_size`.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    pub sequences: &'a [Sequence<'a>],
    pub keys: Rows<'a>,
    pub values: Rows<'a>,
    /// How keys are rotated; `None` where they are already.
    pub rotary: Option<Rotary<'a>>,
}

/// Rotates and stores the keys and values of the new tokens.
///
/// # Errors
///
/// Nothing is written where the block tables, rows or rotary tables do not suffice.
pub fn append(
    pool: &mut Pool,
    new: &Append<'_>,
    isa: Isa,
    parallel: &dyn Parallel,
) -> Result<(), AttentionError> {
    let step = Checked::new(pool, new.sequences, new.rotary.as_ref(), Some(1))?;
    let heads = step.geometry.key_value_heads();
    step.check_rows("keys", &new.keys, heads)?;
    step.check_rows("values", &new.values, heads)?;
    let bytes = Shared::new(pool.bytes_mut());
    match step.geometry.element() {
        Element::F32 => append_as::<f32>(&step, new, &bytes, isa, parallel),
        Element::F16 => append_as::<u16>(&step, new, &bytes, isa, parallel),
        Element::I8 => append_as::<i8>(&step, new, &bytes, isa, parallel),
    }
    Ok(())
}

fn append_as<E: Stored>(
    step: &Checked<'_>,
    new: &Append<'_>,
    bytes: &Shared<'_, u8>,
    isa: Isa,
    parallel: &dyn Parallel,
) {
    parallel.run(step.geometry.key_value_heads(), &|head| {
        dispatch(
            isa,
            Head::<E> {
                step,
                new,
                bytes,
                head,
                element: PhantomData,
            },
        );
    });
}

/// The tokens of all sequences, of one head.
struct Head<'h, E> {
    step: &'h Checked<'h>,
    new: &'h Append<'h>,
    bytes: &'h Shared<'h, u8>,
    head: usize,
    element: PhantomData<E>,
}

impl<E: Stored> Job for Head<'_, E> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = &self.step.geometry;
        let mut row = [[0.0; LANES]; MOST_VECTORS];
        let mut encoded = [[E::default(); LANES]; MOST_VECTORS];
        let row = &mut row[..geometry.vectors()];
        let encoded = &mut encoded[..geometry.vectors()];
        for sequence in self.step.sequences {
            for token in 0..sequence.rows {
                let position = sequence.past + token;
                let source = sequence.first_row + token;
                let offset = geometry.panel_offset(sequence.blocks, position, self.head);
                // SAFETY: the panels of a head are written by the task of that head alone.
                #[expect(unsafe_code, reason = "heads are written side by side")]
                let panel = unsafe { self.bytes.part(offset..offset + geometry.panel_bytes()) };
                let mut panel = PanelMut::<E>::new(geometry, panel);
                let lane = position % LANES;
                rotated(
                    self.step.rotary,
                    position,
                    self.step.head(&self.new.keys, source, self.head),
                    row,
                );
                panel.set_key(simd, lane, row, encoded);
                rotated(
                    None,
                    position,
                    self.step.head(&self.new.values, source, self.head),
                    row,
                );
                panel.set_value(simd, lane, row, encoded);
            }
        }
    }
}
