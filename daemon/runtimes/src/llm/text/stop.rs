//! Stop strings: the text before the first of them, never a part of one.

/// Passes text on until a stop string is complete, and holds back what could begin one.
///
/// What leaves it is the text before the stop string that is complete first; of two that are
/// complete at the same place the longer one counts.
#[derive(Debug, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
    found: Option<String>,
}

impl StopMatcher {
    /// `stops` are not empty strings; an empty one is passed over.
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self {
            stops,
            held: String::new(),
            found: None,
        }
    }

    /// Whether a stop string came; nothing leaves after it.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.found.is_some()
    }

    /// The stop string that came.
    #[must_use]
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Whether text waits that could begin a stop string.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What may be shown now.
    #[must_use]
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped() {
            return String::new();
        }
        if self.stops.is_empty() {
            return text.to_owned();
        }
        self.held.push_str(text);
        if let Some((start, stop)) = self.first_match() {
            self.found = Some(stop);
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back, at the end of the answer.
    #[must_use]
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the stop string starts that ends first, and which it is.
    fn first_match(&self) -> Option<(usize, String)> {
        let found = self.stops.iter().filter_map(|stop| {
            self.held
                .find(stop)
                .map(|start| (start + stop.len(), start, stop))
        });
        found.min().map(|(_, start, stop)| (start, stop.clone()))
    }
}

/// The length of the longest end of `text` that begins `marker` without being all of it.
pub(super) fn overlap(text: &str, marker: &str) -> usize {
    let longest = text.len().min(marker.len() - 1);
    (1..=longest)
        .rev()
        .find(|&length| {
            marker.is_char_boundary(length)
                && text.as_bytes()[text.len() - length..] == marker.as_bytes()[..length]
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Where the answer ends, found by looking at every prefix in turn.
    fn naive(text: &str, stops: &[String]) -> (String, bool) {
        for end in 0..=text.len() {
            let Some(prefix) = text.get(..end) else { continue };
            let longest = stops
                .iter()
                .filter(|stop| prefix.ends_with(stop.as_str()))
                .map(String::len)
                .max();
            if let Some(length) = longest {
                return (prefix[..end - length].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #[test]
        fn equals_the_naive_search_however_the_text_is_cut(
            pieces in prop::collection::vec("[abé]{0,4}", 0..12),
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
        ) {
            let text = pieces.concat();
            let (expected, stopped) = naive(&text, &stops);
            let mut matcher = StopMatcher::new(&stops);
            let mut shown = String::new();
            for piece in &pieces {
                shown.push_str(&matcher.push(piece));
                prop_assert!(expected.starts_with(&shown), "{:?} is not in {:?}", shown, expected);
            }
            prop_assert_eq!(matcher.stopped(), stopped);
            if !stopped {
                shown.push_str(&matcher.finish());
            }
            prop_assert_eq!(shown, expected);
        }
    }

    #[test]
    fn holds_back_only_what_could_begin_a_stop() {
        let mut matcher = StopMatcher::new(&["END".to_owned()]);
        assert_eq!(matcher.push("one E"), "one ");
        assert_eq!(matcher.push("N"), "");
        assert_eq!(matcher.push("T ENDless"), "ENT ");
        assert!(matcher.stopped());
        assert_eq!(matcher.push("more"), "");
    }
}
