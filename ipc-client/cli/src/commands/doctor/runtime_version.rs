//! The version of an ONNX Runtime library, without running any of its code.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use airunner_platform::portable_executable;

/// The library without execution providers is far smaller.
const SEARCHED_BYTES: u64 = 128 << 20;
/// How its exported symbols are marked on systems with symbol versions.
const MARK: &[u8] = b"VERS_";

/// From its file name, from what Windows reads of it, or from its symbols; `None` if nothing tells.
pub(super) fn of(library: &Path) -> Option<(u32, u32, u32)> {
    let real = std::fs::canonicalize(library).ok()?;
    let name = real.file_name()?.to_str()?;
    from_name(name).or_else(|| {
        let mut bytes = Vec::new();
        File::open(&real)
            .ok()?
            .take(SEARCHED_BYTES)
            .read_to_end(&mut bytes)
            .ok()?;
        from_resource(&bytes).or_else(|| from_symbols(&bytes))
    })
}

/// Such as `libonnxruntime.so.1.31.1` or `libonnxruntime.1.31.1.dylib`.
fn from_name(name: &str) -> Option<(u32, u32, u32)> {
    let start = name.find(|character: char| character.is_ascii_digit())?;
    three_numbers(name.get(start..)?)
}

/// The fourth number is the day it was built on.
fn from_resource(bytes: &[u8]) -> Option<(u32, u32, u32)> {
    let [major, minor, patch, _] = portable_executable::version(bytes)?.map(u32::from);
    Some((major, minor, patch))
}

fn from_symbols(bytes: &[u8]) -> Option<(u32, u32, u32)> {
    let places = bytes
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK);
    places.map(|(index, _)| index + MARK.len()).find_map(|start| {
        let end = bytes.len().min(start + 16);
        let text: String = bytes
            .get(start..end)?
            .iter()
            .map(|&byte| char::from(byte))
            .collect();
        three_numbers(&text)
    })
}

/// The numbers at the beginning of `1.31.1` and of `1.31.1.dylib`.
fn three_numbers(text: &str) -> Option<(u32, u32, u32)> {
    let digits = |text: &str| {
        let end = text
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(text.len());
        text.get(..end).and_then(|digits| digits.parse().ok())
    };
    let mut parts = text.splitn(3, '.');
    let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
    Some((major.parse().ok()?, minor.parse().ok()?, digits(patch)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_symbols_tell_the_version() {
        assert_eq!(from_name("libonnxruntime.so.1.31.1"), Some((1, 31, 1)));
        assert_eq!(from_name("libonnxruntime.1.30.0.dylib"), Some((1, 30, 0)));
        assert_eq!(from_name("libonnxruntime.so.1"), None);
        assert_eq!(from_name("onnxruntime.dll"), None);
        assert_eq!(from_symbols(b"..VERS_x\0VERS_1.31.1\0libc"), Some((1, 31, 1)));
        assert_eq!(from_symbols(b"VERS_"), None);
        assert_eq!(of(Path::new("/does/not/exist")), None);
    }
}
