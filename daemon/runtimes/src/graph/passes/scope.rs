//! Numbers that a graph computes from the size of its heads alone.

use std::ops::Deref;

use super::super::edit::Graph;
use super::super::index::{Index, is_standard};

/// Steps from a number back to the size it is computed from.
const MAX_DEPTH: usize = 10;

/// An index that also knows how large heads are: exports of older versions of PyTorch compute the
/// scale of the scores from the shape of the query, again at every run.
pub(super) struct Scope<'i, 'g> {
    index: &'i Index<'g>,
    head_size: Option<f64>,
}

impl<'g> Deref for Scope<'_, 'g> {
    type Target = Index<'g>;

    fn deref(&self) -> &Index<'g> {
        self.index
    }
}

impl<'i, 'g> Scope<'i, 'g> {
    pub(super) fn of(graph: &Graph, index: &'i Index<'g>) -> Self {
        let pasts = graph
            .proto()
            .input
            .iter()
            .filter(|input| input.name.starts_with("past"));
        let mut sizes = pasts.map(|past| match graph.sizes_of(&past.name).as_deref() {
            Some(&[_, _, _, size]) => size,
            _ => None,
        });
        let first = sizes.next().flatten();
        let head_size = first.filter(|_| sizes.all(|size| size == first));
        Self {
            index,
            head_size: head_size.map(|size| size as f64),
        }
    }

    /// A constant, or a number that is the same at every run.
    pub(super) fn number(&self, value: &str) -> Option<f64> {
        self.computed(value, MAX_DEPTH)
    }

    fn computed(&self, value: &str, depth: usize) -> Option<f64> {
        if let Some(number) = self.index.number(value) {
            return Some(number);
        }
        let depth = depth.checked_sub(1)?;
        let (_, node) = self.index.producer(value)?;
        let is = |names: &[&str]| names.iter().any(|name| is_standard(node, name));
        let input = |place| self.computed(node.given(place)?, depth);
        if is(&["Cast", "Identity", "Squeeze", "Unsqueeze"]) {
            return input(0);
        }
        if is(&["Sqrt"]) {
            return input(0).map(f64::sqrt);
        }
        if is(&["Div"]) {
            return Some(input(0)? / input(1)?);
        }
        // A constant first: what is no number ends the search at once.
        if is(&["Mul"]) {
            return Some(input(1)? * input(0)?);
        }
        if is(&["Gather", "Slice"]) {
            return self.head_size.filter(|_| self.is_last_size(value));
        }
        None
    }

    /// Whether a value is the last dimension of another.
    fn is_last_size(&self, value: &str) -> bool {
        let last = || {
            let (_, node) = self.index.producer(value)?;
            let (_, shape) = self.index.producer(node.given(0)?)?;
            let whole = is_standard(shape, "Shape") && shape.attribute.is_empty();
            let place = self.index.integers(node.given(1)?)?;
            let is_one = is_standard(node, "Gather")
                || self
                    .index
                    .integers(node.given(2)?)?
                    .first()
                    .is_some_and(|&end| end > i64::from(i32::MAX) - 1);
            (whole && is_one).then(|| matches!(place[..], [-1 | 3]))
        };
        last().unwrap_or(false)
    }
}
