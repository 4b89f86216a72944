//! What a program or library for Windows says of itself, without running any of its code.

/// Marks the fixed part of its version, followed by the version of that part's own form.
const FIXED_PART: [u8; 8] = [0xbd, 0x04, 0xef, 0xfe, 0x00, 0x00, 0x01, 0x00];
/// Where the file says at which place its header is.
const PLACE_OF_HEADER: usize = 0x3c;
/// From the beginning of the header to the version of the linker.
const LINKER: usize = 26;

/// The version of the file, if it has one.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<[u16; 4]> {
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let length = FIXED_PART.len();
    let place = bytes.windows(length).position(|window| window == FIXED_PART)?;
    let number = |index: usize| two_bytes(bytes, place + length + 2 * index);
    // Each half has its lower part first.
    Some([number(1)?, number(0)?, number(3)?, number(2)?])
}

/// The version of the linker, which for Microsoft's is that of the tools it comes with.
#[must_use]
pub fn linker(bytes: &[u8]) -> Option<(u16, u16)> {
    let place = bytes.starts_with(b"MZ").then_some(PLACE_OF_HEADER)?;
    let four = bytes.get(place..place + 4)?.try_into().ok()?;
    let header = usize::try_from(u32::from_le_bytes(four)).ok()?;
    let header = bytes.get(header..)?;
    if !header.starts_with(b"PE\0\0") {
        return None;
    }
    Some((
        u16::from(*header.get(LINKER)?),
        u16::from(*header.get(LINKER + 1)?),
    ))
}

fn two_bytes(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(place..place + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header_at: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"MZ".to_vec();
        bytes.resize(PLACE_OF_HEADER, 0);
        bytes.extend([header_at, 0, 0, 0]);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn versions_are_read_from_where_they_are() {
        let mut header = b"PE\0\0".to_vec();
        header.resize(LINKER, 7);
        header.extend([14, 44]);
        header.extend(FIXED_PART);
        header.extend([31, 0, 1, 0, 0xff, 3, 1, 0]);
        let bytes = file(64, &header);
        assert_eq!(linker(&bytes), Some((14, 44)));
        assert_eq!(version(&bytes), Some([1, 31, 1, 1023]));
    }

    #[test]
    fn what_is_no_such_file_or_ends_early_has_none() {
        let fixed = [FIXED_PART.as_slice(), &[0; 7]].concat();
        for bytes in [
            Vec::new(),
            b"MZ".to_vec(),
            b"\x7fELF".to_vec(),
            file(64, b"PE\0\0"),
            file(64, b"NE\0\0"),
            file(255, &[0; 30]),
            file(64, &fixed),
        ] {
            assert_eq!(linker(&bytes), None, "{bytes:?}");
            assert_eq!(version(&bytes), None, "{bytes:?}");
        }
    }
}
