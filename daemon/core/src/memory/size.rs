//! Numbers of bytes as people write and read them.

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `2GiB`, `500 MB` or `1048576`; `None` if it is no such number or too large.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// For messages: `512 MiB`, `3.2 GiB`.
#[must_use]
pub fn display_bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let number = bytes as f64;
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", number / f64::from(1 << 30))
    } else if bytes >= 1 << 20 {
        format!("{:.0} MiB", number / f64::from(1 << 20))
    } else {
        format!("{:.0} KiB", (number / 1024.0).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("2GiB", Some(2 << 30)),
            (" 500 MB ", Some(500_000_000)),
            ("1048576", Some(1 << 20)),
            ("0", Some(0)),
            ("", None),
            ("GiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999TiB", None),
            ("2gib", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn shows_what_people_read() {
        for (bytes, text) in [
            (0, "0 KiB"),
            (1, "1 KiB"),
            (5 << 20, "5 MiB"),
            (3 << 30, "3.0 GiB"),
        ] {
            assert_eq!(display_bytes(bytes), text);
        }
    }
}
