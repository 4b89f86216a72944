//! Element types by their numbers in the ONNX standard (`TensorProto.DataType`).

pub(crate) const FLOAT: i64 = 1;
pub(crate) const UINT8: i64 = 2;
pub(crate) const INT8: i64 = 3;
pub(crate) const UINT16: i64 = 4;
pub(crate) const INT16: i64 = 5;
pub(crate) const INT32: i64 = 6;
pub(crate) const INT64: i64 = 7;
pub(crate) const STRING: i64 = 8;
pub(crate) const FLOAT16: i64 = 10;
pub(crate) const DOUBLE: i64 = 11;
pub(crate) const BFLOAT16: i64 = 16;
pub(crate) const UINT4: i64 = 21;
pub(crate) const INT4: i64 = 22;
pub(crate) const UINT2: i64 = 25;
pub(crate) const INT2: i64 = 26;

/// Bytes that so many elements of a type take; `None` for unknown types and overflow.
/// Types below a byte are packed.
pub(crate) fn bytes(dtype: i64, elements: u64) -> Option<u64> {
    let bits: u64 = match dtype {
        // FLOAT, INT32, UINT32
        1 | 6 | 12 => 32,
        // UINT8, INT8, BOOL, the FLOAT8s, FLOAT8E8M0
        2 | 3 | 9 | 17..=20 | 24 => 8,
        // UINT16, INT16, FLOAT16, BFLOAT16
        4 | 5 | 10 | 16 => 16,
        // INT64, DOUBLE, UINT64, COMPLEX64
        7 | 11 | 13 | 14 => 64,
        // COMPLEX128
        15 => 128,
        // UINT4, INT4, FLOAT4E2M1
        21..=23 => 4,
        // UINT2, INT2
        25 | 26 => 2,
        _ => return None,
    };
    elements.checked_mul(bits).map(|total| total.div_ceil(8))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_follow_the_standard() {
        for (dtype, elements, expected) in [
            (1, 3, Some(12)),
            (10, 3, Some(6)),
            (21, 3, Some(2)),
            (8, 1, None),
            (7, u64::MAX, None),
        ] {
            assert_eq!(super::bytes(dtype, elements), expected, "{dtype}");
        }
    }
}
