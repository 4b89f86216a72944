//! How the numbers of the cache are written and read.

use super::Geometry;
use super::simd::{LANES, Simd};

/// A square of 16 by 16 numbers.
pub(super) type Square<E> = [[E; LANES]; LANES];

/// A number of the cache.
///
/// # Safety
///
/// All bits are a value of the type, which is no larger than 64 bytes and not padded.
#[expect(unsafe_code, reason = "bytes are read as numbers of these types")]
pub(super) unsafe trait Stored: Copy + Default + 'static {
    /// Each token has a scale that its numbers are to be multiplied by.
    const SCALED: bool;

    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Vector;

    /// Writes the numbers of one token and returns their scale.
    fn encode<S: Simd>(simd: S, from: &[[f32; LANES]], to: &mut [[Self; LANES]]) -> f32;
}

#[expect(unsafe_code, reason = "numbers of any bits")]
// SAFETY: all bits are a number.
unsafe impl Stored for f32 {
    const SCALED: bool = false;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Vector {
        simd.load(from)
    }

    #[inline(always)]
    fn encode<S: Simd>(_: S, from: &[[f32; LANES]], to: &mut [[Self; LANES]]) -> f32 {
        to.copy_from_slice(from);
        1.0
    }
}

#[expect(unsafe_code, reason = "numbers of any bits")]
// SAFETY: all bits are a number.
unsafe impl Stored for u16 {
    const SCALED: bool = false;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Vector {
        simd.load_half(from)
    }

    #[inline(always)]
    fn encode<S: Simd>(simd: S, from: &[[f32; LANES]], to: &mut [[Self; LANES]]) -> f32 {
        for (from, to) in from.iter().zip(to) {
            simd.store_half(simd.load(from), to);
        }
        1.0
    }
}

#[expect(unsafe_code, reason = "numbers of any bits")]
// SAFETY: all bits are a number.
unsafe impl Stored for i8 {
    const SCALED: bool = true;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Vector {
        simd.load_byte(from)
    }

    /// The greatest becomes 127. Where a number is not finite the scale is NaN, so that what
    /// the token takes part in does not look sound.
    #[inline(always)]
    fn encode<S: Simd>(_: S, from: &[[f32; LANES]], to: &mut [[Self; LANES]]) -> f32 {
        let mut greatest = 0.0_f32;
        let mut finite = true;
        for number in from.as_flattened() {
            greatest = greatest.max(number.abs());
            finite &= number.is_finite();
        }
        let steps = if greatest > 0.0 && finite {
            127.0 / greatest
        } else {
            0.0
        };
        for (from, to) in from.as_flattened().iter().zip(to.as_flattened_mut()) {
            *to = (from * steps).round_ties_even() as i8;
        }
        if finite { greatest / 127.0 } else { f32::NAN }
    }
}

/// 16 tokens of one head.
#[derive(Clone, Copy)]
pub(super) struct Panel<'p, E> {
    /// Of the keys and of the values; none where numbers are kept as they are.
    pub(super) scales: &'p [[f32; LANES]],
    /// Keys as `[size / 16][16][token]`.
    pub(super) keys: &'p [Square<E>],
    /// Values as `[size / 16][token][16]`.
    pub(super) values: &'p [Square<E>],
}

impl<'p, E: Stored> Panel<'p, E> {
    pub(super) const NONE: Self = Self {
        scales: &[],
        keys: &[],
        values: &[],
    };

    #[inline(always)]
    pub(super) fn new(geometry: &Geometry, pool: &'p [u8], offset: usize) -> Self {
        let (scales, sides) = pool[offset..][..geometry.panel_bytes()].split_at(geometry.scale_bytes());
        let (keys, values) = sides.split_at(geometry.side_bytes());
        Self {
            scales: numbers::<f32>(scales).as_chunks().0,
            keys: numbers::<E>(keys).as_chunks().0.as_chunks().0,
            values: numbers::<E>(values).as_chunks().0.as_chunks().0,
        }
    }
}

/// 16 tokens of one head, to be written.
pub(super) struct PanelMut<'p, E> {
    scales: &'p mut [f32],
    keys: &'p mut [Square<E>],
    values: &'p mut [Square<E>],
}

impl<'p, E: Stored> PanelMut<'p, E> {
    #[inline(always)]
    pub(super) fn new(geometry: &Geometry, panel: &'p mut [u8]) -> Self {
        let (scales, sides) = panel.split_at_mut(geometry.scale_bytes());
        let (keys, values) = sides.split_at_mut(geometry.side_bytes());
        Self {
            scales: numbers_mut(scales),
            keys: numbers_mut::<E>(keys).as_chunks_mut().0.as_chunks_mut().0,
            values: numbers_mut::<E>(values).as_chunks_mut().0.as_chunks_mut().0,
        }
    }

    /// Writes the key of the token at `lane`; `encoded` is room for it.
    #[inline(always)]
    pub(super) fn set_key<S: Simd>(
        &mut self,
        simd: S,
        lane: usize,
        key: &[[f32; LANES]],
        encoded: &mut [[E; LANES]],
    ) {
        let scale = E::encode(simd, key, encoded);
        if E::SCALED {
            self.scales[lane] = scale;
        }
        for (square, encoded) in self.keys.iter_mut().zip(encoded) {
            for (tokens, number) in square.iter_mut().zip(encoded) {
                tokens[lane] = *number;
            }
        }
    }

    #[inline(always)]
    pub(super) fn set_value<S: Simd>(
        &mut self,
        simd: S,
        lane: usize,
        value: &[[f32; LANES]],
        encoded: &mut [[E; LANES]],
    ) {
        let scale = E::encode(simd, value, encoded);
        if E::SCALED {
            self.scales[LANES + lane] = scale;
        }
        for (square, encoded) in self.values.iter_mut().zip(encoded) {
            square[lane] = *encoded;
        }
    }
}

#[expect(unsafe_code, reason = "reads bytes as numbers")]
#[inline(always)]
fn numbers<E: Stored>(bytes: &[u8]) -> &[E] {
    // SAFETY: all bits are a value of `E`.
    let (before, numbers, after) = unsafe { bytes.align_to::<E>() };
    assert!(
        before.is_empty() && after.is_empty(),
        "panels begin at cache lines"
    );
    numbers
}

#[expect(unsafe_code, reason = "writes bytes as numbers")]
#[inline(always)]
fn numbers_mut<E: Stored>(bytes: &mut [u8]) -> &mut [E] {
    // SAFETY: all bits are a value of `E`, and all values of `E` are bytes without gaps.
    let (before, numbers, after) = unsafe { bytes.align_to_mut::<E>() };
    assert!(
        before.is_empty() && after.is_empty(),
        "panels begin at cache lines"
    );
    numbers
}
