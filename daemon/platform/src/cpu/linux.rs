use std::fs;

/// The kernel lists it only if it also saves the tiles at a change of threads, which asking the
/// processor alone does not tell.
const AMX: &str = "amx_int8";

pub(super) fn further_features() -> Option<&'static str> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    has_amx(&text).then_some(AMX)
}

fn has_amx(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.trim_start().strip_prefix(':'))
        .is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == AMX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amx_is_found_among_the_flags_only() {
        for (text, expected) in [
            ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_int8 avx2\n", true),
            ("flags\t\t: fpu amx_tile\n", false),
            ("model name\t: amx_int8\nflags\t\t: fpu\n", false),
            ("flags", false),
            ("", false),
        ] {
            assert_eq!(has_amx(text), expected, "{text:?}");
        }
    }
}
