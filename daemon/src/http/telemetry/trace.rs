//! The trace that a request belongs to: <https://www.w3.org/TR/trace-context/>.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::identity::number;
use crate::traces::Place;

pub(super) const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    trace: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    /// The caller's, if it sent one that is well formed.
    pub(super) fn given(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(&HEADER).iter();
        let parsed = parse(given.next()?.to_str().ok()?)?;
        // Two of them are none.
        given.next().is_none().then_some(parsed)
    }

    /// The same trace with a span of our own.
    pub(super) fn continued(self) -> Self {
        Self {
            span: number().max(1),
            ..self
        }
    }

    /// The trace alone, as logs and viewers of traces write it.
    pub(super) fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl From<Trace> for Place {
    fn from(Trace { trace, span, flags }: Trace) -> Self {
        Self { trace, span, flags }
    }
}

impl From<Place> for Trace {
    fn from(Place { trace, span, flags }: Place) -> Self {
        Self { trace, span, flags }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn parse(text: &str) -> Option<Trace> {
    let fields: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, rest @ ..] = fields.as_slice() else {
        return None;
    };
    let version = hex(version, 2)?;
    // Later versions may say more behind what is known.
    if version == 0xff || (version == 0 && !rest.is_empty()) {
        return None;
    }
    let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
    (trace != 0 && span != 0).then_some(Trace {
        trace,
        span: u64::try_from(span).ok()?,
        flags: u8::try_from(flags).ok()?,
    })
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed = text.len() == digits && text.bytes().all(is_hex);
    well_formed.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn sent(texts: &[&str]) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(HEADER, HeaderValue::from_str(text).unwrap());
        }
        Trace::given(&headers).map(Trace::continued)
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let trace = sent(&[GIVEN]).unwrap();
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let written = trace.to_string();
        assert_eq!(parse(&written), Some(trace));
        assert_eq!(
            (written.len(), &written[..36], &written[53..]),
            (GIVEN.len(), &GIVEN[..36], "01")
        );
        assert_ne!(written, GIVEN);
        let later = GIVEN.replacen("00", "cc", 1) + "-more";
        assert_eq!(sent(&[&later]).unwrap().id(), trace.id());
    }

    #[test]
    fn what_is_not_well_formed_is_no_trace() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ] {
            assert_eq!(sent(&[bad]), None, "{bad}");
        }
        assert_eq!(sent(&[GIVEN, GIVEN]), None);
    }
}
