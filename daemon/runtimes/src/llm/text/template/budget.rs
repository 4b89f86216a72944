//! What one rendering may cost.

use minijinja::Value;
use minijinja::value::ValueKind;

/// Nested calls; low enough for a thread with a stack of 2 MiB.
pub(super) const RECURSION_LIMIT: usize = 120;

/// Steps of any template; one fuel is an instruction or 64 bytes of data made.
const BASE: u64 = 1 << 20;

/// A template may look at each byte of the conversation several times.
const BYTES_PER_FUEL: u64 = 8;

/// The budget for these variables: time and memory grow with the conversation and not with the
/// template.
pub(super) fn fuel(context: &[(String, Value)]) -> u64 {
    BASE + context.iter().map(|(_, value)| size(value, 0)).sum::<u64>() / BYTES_PER_FUEL
}

/// Bytes of text, and something for each value.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add kinds")]
fn size(value: &Value, depth: usize) -> u64 {
    const EACH: u64 = 256;
    let inner = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::String => EACH + value.as_str().map_or(0, |text| text.len() as u64),
        ValueKind::Seq if depth < 64 => EACH + inner().map(|item| size(&item, depth + 1)).sum::<u64>(),
        ValueKind::Map if depth < 64 => {
            let item =
                |key: Value| size(&key, 64) + value.get_item(&key).map_or(0, |item| size(&item, depth + 1));
            EACH + inner().map(item).sum::<u64>()
        }
        _ => EACH,
    }
}
