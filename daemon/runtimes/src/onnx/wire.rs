//! The wire form of protocol buffers, read in place: nothing is copied, and nothing that is not
//! asked for is looked at. Every length is checked before it is used.

/// Why the bytes are not a protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the file ends in the middle of a field")]
    Truncated,
    #[error("a number is longer than 64 bits")]
    Overlong,
    #[error("a field has the unknown wire type {0}")]
    WireType(u8),
    #[error("a field has the number 0")]
    FieldZero,
    #[error("a text is not UTF-8")]
    NotText,
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload<'a> {
    Number(u64),
    /// Text, a nested message or packed numbers.
    Bytes(&'a [u8]),
    /// 32 or 64 fixed bits, the lowest first.
    Fixed(&'a [u8]),
}

impl<'a> Payload<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(WireError::WireType(0)),
            Self::Fixed(_) => Err(WireError::WireType(5)),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::NotText)
    }

    pub(crate) fn number(self) -> Result<u64, WireError> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(WireError::WireType(2)),
            Self::Fixed(_) => Err(WireError::WireType(5)),
        }
    }

    /// A two's complement number as protocol buffers write `int64`.
    pub(crate) fn signed(self) -> Result<i64, WireError> {
        self.number().map(u64::cast_signed)
    }
}

/// The fields of one message, in the order of the file.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Numbers packed into one field.
    pub(crate) fn packed(bytes: &'a [u8]) -> Packed<'a> {
        Packed(Self { rest: bytes })
    }

    fn next_field(&mut self) -> Result<(u64, Payload<'a>), WireError> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(WireError::FieldZero);
        }
        let payload = match (key & 7) as u8 {
            0 => Payload::Number(self.varint()?),
            1 => self.take(8).map(Payload::Fixed)?,
            2 => {
                let length = self.varint()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(Payload::Fixed)?,
            other => return Err(WireError::WireType(other)),
        };
        Ok((number, payload))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(WireError::Overlong);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(WireError::Overlong)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Payload<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Packed numbers.
pub(crate) struct Packed<'a>(Fields<'a>);

impl Iterator for Packed<'_> {
    type Item = Result<u64, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest.is_empty() {
            return None;
        }
        let number = self.0.varint();
        if number.is_err() {
            self.0.rest = &[];
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_kinds_of_fields() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4];
        let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            fields,
            [
                (1, Payload::Number(150)),
                (2, Payload::Bytes(b"hi")),
                (3, Payload::Fixed(&[1, 2, 3, 4]))
            ]
        );
    }

    #[test]
    fn refuses_what_is_cut_or_garbage() {
        let cases: [(&[u8], WireError); 5] = [
            (&[0x08], WireError::Truncated),
            (&[0x12, 0x05, b'h'], WireError::Truncated),
            (&[0x0b], WireError::WireType(3)),
            (&[0x00, 0x00], WireError::FieldZero),
            (
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                WireError::Overlong,
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Fields::of(bytes).find_map(Result::err), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_hang(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let count = Fields::of(&bytes).count();
            prop_assert!(count <= bytes.len());
        }
    }
}
