//! What one rendering may cost.

use minijinja::Value;
use minijinja::value::ValueKind;

/// Nested calls of macros and loops.
pub(super) const RECURSION_LIMIT: usize = 120;

/// Steps of any template; one fuel is an instruction or 64 bytes of data made.
const BASE: u64 = 256 << 10;

/// A template may copy each byte of the conversation several times, 64 for one fuel.
const BYTES_PER_FUEL: u64 = 12;

/// Whatever the conversation: a few seconds, and a stack of a gigabyte.
const MOST: u64 = 4 << 20;

/// The budget for these variables: time and memory grow with the conversation and not with the
/// template.
pub(super) fn fuel(context: &[(String, Value)]) -> u64 {
    let bytes = context.iter().map(|(_, value)| size(value, 0)).sum::<u64>();
    (BASE + bytes / BYTES_PER_FUEL).min(MOST)
}

/// Stack of any of the engine's threads.
const STACK: usize = 8 << 20;
/// For each byte of a source that is compiled: every byte may nest an expression.
const STACK_PER_BYTE: usize = 1 << 10;
/// For each fuel: nesting a value takes at least seven.
const STACK_PER_FUEL: usize = 256;

/// Stack for compiling a source of so many bytes.
///
/// The engine follows nested expressions, and values that a loop nested, by calling itself, also
/// when it frees them; and a thread that runs out of stack takes the whole process with it. What a
/// template can nest is bounded by its size and its budget, so the stack is made to hold that.
pub(super) fn stack_for_source(bytes: usize) -> usize {
    STACK + bytes * STACK_PER_BYTE
}

/// Stack for rendering with so much fuel.
pub(super) fn stack_for_fuel(fuel: u64) -> usize {
    STACK + usize::try_from(fuel.min(MOST)).unwrap_or_default() * STACK_PER_FUEL
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
