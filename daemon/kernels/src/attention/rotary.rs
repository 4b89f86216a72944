//! Rotation of queries and keys by their positions.

use super::{AttentionError, LANES};

/// Tables of the cosines and sines of each position, as every rotary variant can be written.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'r> {
    /// `[positions][dimensions / 2]`
    pub cos: &'r [f32],
    pub sin: &'r [f32],
    /// Numbers at the beginning of a head that are rotated; the others stay as they are.
    pub dimensions: usize,
    /// Pairs are neighbours (0 and 1, 2 and 3) instead of halves (0 and `dimensions / 2`).
    pub interleaved: bool,
}

impl Rotary<'_> {
    /// Positions that the tables have.
    pub(super) fn positions(&self, head_size: usize) -> Result<usize, AttentionError> {
        let dimensions = self.dimensions;
        if dimensions == 0 || dimensions > head_size || !dimensions.is_multiple_of(2) {
            return Err(AttentionError::Rotary {
                dimensions,
                head_size,
            });
        }
        Ok(self.cos.len().min(self.sin.len()) / (dimensions / 2))
    }
}

/// Copies a head, rotated where there are tables, and fills up the last vector with zeros.
#[inline(always)]
pub(super) fn rotated(rotary: Option<&Rotary<'_>>, position: usize, from: &[f32], to: &mut [[f32; LANES]]) {
    let to = to.as_flattened_mut();
    let (head, rest) = to.split_at_mut(from.len());
    rest.fill(0.0);
    let Some(rotary) = rotary else {
        head.copy_from_slice(from);
        return;
    };
    let half = rotary.dimensions / 2;
    let cos = &rotary.cos[position * half..][..half];
    let sin = &rotary.sin[position * half..][..half];
    let (turned, kept) = from.split_at(rotary.dimensions);
    let (head, rest) = head.split_at_mut(rotary.dimensions);
    rest.copy_from_slice(kept);
    if rotary.interleaved {
        let pairs = turned.as_chunks::<2>().0.iter().zip(head.as_chunks_mut::<2>().0);
        for ((from, to), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
            *to = [from[0] * cos - from[1] * sin, from[1] * cos + from[0] * sin];
        }
    } else {
        let (a, b) = turned.split_at(half);
        let (to_a, to_b) = head.split_at_mut(half);
        for index in 0..half {
            to_a[index] = a[index] * cos[index] - b[index] * sin[index];
            to_b[index] = b[index] * cos[index] + a[index] * sin[index];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_neighbours_are_turned_by_the_angle_of_the_position() {
        let (cos, sin) = ([9.0, 9.0, 0.0, 1.0], [9.0, 9.0, 1.0, 0.0]);
        let mut rotary = Rotary {
            cos: &cos,
            sin: &sin,
            dimensions: 4,
            interleaved: false,
        };
        let mut to = [[7.0; LANES]; 1];
        rotated(Some(&rotary), 1, &[1.0, 2.0, 3.0, 4.0, 5.0], &mut to);
        assert_eq!(to[0][..6], [-3.0, 2.0, 1.0, 4.0, 5.0, 0.0]);
        rotary.interleaved = true;
        rotated(Some(&rotary), 1, &[1.0, 2.0, 3.0, 4.0, 5.0], &mut to);
        assert_eq!(to[0][..6], [-2.0, 1.0, 3.0, 4.0, 5.0, 0.0]);
        rotated(None, 1, &[1.0, 2.0, 3.0], &mut to);
        assert_eq!(to[0][..4], [1.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn dimensions_that_are_odd_or_too_many_are_refused() {
        let rotary = |dimensions| Rotary {
            cos: &[0.0; 12],
            sin: &[0.0; 9],
            dimensions,
            interleaved: false,
        };
        assert_eq!(rotary(4).positions(4), Ok(4));
        for dimensions in [0, 3, 6] {
            let refused = AttentionError::Rotary {
                dimensions,
                head_size: 4,
            };
            assert_eq!(rotary(dimensions).positions(4), Err(refused));
        }
    }
}
