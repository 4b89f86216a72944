//! Where the bytes of a constant are, and small constants as numbers.

use bytes::Bytes;

use super::Refusal;
use super::proto::{EXTERNAL, TensorProto};
use crate::onnx::dtype;

/// Numbers that are read out of a constant at most: axes, shapes, scalars.
const SMALL: usize = 64;

/// A constant that stays where it is until somebody reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRef {
    /// `TensorProto.DataType`.
    pub dtype: i64,
    pub dimensions: Vec<u64>,
    pub place: Place,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file of the package, named relative to it.
    File { file: String, offset: u64, length: u64 },
    /// In the graph file itself; part of its map if that is mapped.
    Inline(Bytes),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { file, offset, length } => write!(f, "{file}[{offset}, {length}]"),
            Self::Inline(bytes) => write!(f, "inline[{}]", bytes.len()),
        }
    }
}

impl TensorRef {
    /// `file` is the graph's place in its package: external data lies beside it.
    pub(crate) fn of(tensor: &TensorProto, file: &str) -> Result<Self, Refusal> {
        let refused = |reason| Refusal::tensor(&tensor.name, reason);
        let dimensions = dimensions(tensor)?;
        let elements = elements(&dimensions).ok_or_else(|| refused("an impossible size"))?;
        let dtype = i64::from(tensor.data_type);
        let length = dtype::bytes(dtype, elements).ok_or_else(|| refused("an unknown element type"))?;
        let place = if is_external(tensor) {
            external(tensor, file, length).ok_or_else(|| refused("where its data lies cannot be read"))?
        } else {
            let bytes = inline(tensor).ok_or_else(|| refused("data of a kind that is not read"))?;
            if bytes.len() as u64 != length {
                return Err(refused("data and shape disagree"));
            }
            Place::Inline(bytes)
        };
        Ok(Self {
            dtype,
            dimensions,
            place,
        })
    }

    #[must_use]
    pub fn elements(&self) -> u64 {
        self.dimensions.iter().product()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::File { length, .. } => *length,
            Place::Inline(bytes) => bytes.len() as u64,
        }
    }

    /// The first or the second half of the elements; `None` where they do not fill whole bytes.
    pub(crate) fn half(&self, is_second: bool) -> Option<Self> {
        let (elements, length) = (self.elements(), self.bytes());
        if elements % 2 != 0 || length % 2 != 0 {
            return None;
        }
        let begin = if is_second { length / 2 } else { 0 };
        let place = match &self.place {
            Place::File { file, offset, .. } => Place::File {
                file: file.clone(),
                offset: offset.checked_add(begin)?,
                length: length / 2,
            },
            Place::Inline(bytes) => {
                let begin = usize::try_from(begin).ok()?;
                Place::Inline(bytes.slice(begin..begin + bytes.len() / 2))
            }
        };
        Some(Self {
            dtype: self.dtype,
            dimensions: vec![elements / 2],
            place,
        })
    }

    /// Whether both read the same bytes as the same type; shapes may differ.
    pub(crate) fn is_same_data(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.place == other.place
    }
}

fn dimensions(tensor: &TensorProto) -> Result<Vec<u64>, Refusal> {
    let sizes = tensor.dims.iter().map(|&size| u64::try_from(size));
    sizes
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::tensor(&tensor.name, "a negative size"))
}

fn elements(dimensions: &[u64]) -> Option<u64> {
    dimensions
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size))
}

pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(EXTERNAL)
}

fn external(tensor: &TensorProto, file: &str, length: u64) -> Option<Place> {
    let mut location = None;
    let mut offset = 0;
    for entry in &tensor.external_data {
        match entry.key.as_str() {
            "location" => location = Some(entry.value.as_str()),
            "offset" => offset = entry.value.parse().ok()?,
            "length" => {
                let declared: u64 = entry.value.parse().ok()?;
                if declared != length {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(Place::File {
        file: crate::onnx::beside(file, location?),
        offset,
        length,
    })
}

/// The data as raw bytes, whichever field holds it.
fn inline(tensor: &TensorProto) -> Option<Bytes> {
    if let Some(raw) = &tensor.raw_data {
        return Some(raw.clone());
    }
    let bytes: Vec<u8> = match i64::from(tensor.data_type) {
        dtype::FLOAT => tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        dtype::INT64 => tensor.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        dtype::DOUBLE => tensor.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        dtype::INT32 => tensor.int32_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        dtype::FLOAT16 | dtype::BFLOAT16 => {
            let halves = tensor.int32_data.iter().map(|&v| v as u16);
            halves.flat_map(u16::to_le_bytes).collect()
        }
        dtype::UINT16 | dtype::INT16 => {
            let shorts = tensor.int32_data.iter().map(|&v| v as u16);
            shorts.flat_map(u16::to_le_bytes).collect()
        }
        // Of less than a byte as many as fill it.
        dtype::UINT8 | dtype::INT8 | dtype::UINT4 | dtype::INT4 => {
            tensor.int32_data.iter().map(|&v| v as u8).collect()
        }
        _ => return None,
    };
    Some(bytes.into())
}

/// The whole numbers of a small constant.
pub(crate) fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let bytes = small(tensor)?;
    match i64::from(tensor.data_type) {
        dtype::INT64 => Some(read(&bytes, i64::from_le_bytes)),
        dtype::INT32 => Some(read(&bytes, |b| i64::from(i32::from_le_bytes(b)))),
        _ => None,
    }
}

/// The number of a constant with one element.
pub(crate) fn number(tensor: &TensorProto) -> Option<f64> {
    let bytes = small(tensor)?;
    let numbers: Vec<f64> = match i64::from(tensor.data_type) {
        dtype::FLOAT => read(&bytes, |b| f64::from(f32::from_le_bytes(b))),
        dtype::DOUBLE => read(&bytes, f64::from_le_bytes),
        dtype::FLOAT16 => read(&bytes, |b| half::f16::from_le_bytes(b).to_f64()),
        dtype::BFLOAT16 => read(&bytes, |b| half::bf16::from_le_bytes(b).to_f64()),
        _ => integers(tensor)?.iter().map(|&whole| whole as f64).collect(),
    };
    match numbers[..] {
        [number] => Some(number),
        _ => None,
    }
}

fn small(tensor: &TensorProto) -> Option<Bytes> {
    let elements = elements(&dimensions(tensor).ok()?)?;
    if is_external(tensor) || elements > SMALL as u64 {
        return None;
    }
    inline(tensor)
}

fn read<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| value(chunk))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::proto::StringStringEntryProto;

    fn external_tensor(entries: &[(&str, &str)]) -> TensorProto {
        TensorProto {
            dims: vec![2, 3],
            data_type: 1,
            name: "w".into(),
            data_location: Some(EXTERNAL),
            external_data: entries
                .iter()
                .map(|&(key, value)| StringStringEntryProto {
                    key: key.into(),
                    value: value.into(),
                })
                .collect(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn external_data_lies_beside_the_graph() {
        let tensor = external_tensor(&[("location", "w.data"), ("offset", "8"), ("length", "24")]);
        let place = TensorRef::of(&tensor, "onnx/model.onnx").unwrap().place;
        assert_eq!(format!("{place:?}"), "onnx/w.data[8, 24]");
    }

    #[test]
    fn a_length_that_disagrees_is_refused() {
        for entries in [
            &[("location", "w"), ("length", "25")][..],
            &[("location", "w"), ("offset", "x")],
            &[("offset", "0")],
        ] {
            assert!(TensorRef::of(&external_tensor(entries), "model.onnx").is_err());
        }
    }

    #[test]
    fn data_is_the_same_in_whichever_field_it_stands() {
        let bare = TensorProto {
            dims: vec![2],
            data_type: 10,
            ..TensorProto::default()
        };
        let raw = TensorProto {
            raw_data: Some(Bytes::from_static(&[0, 0x3c, 0, 0x40])),
            ..bare.clone()
        };
        let typed = TensorProto {
            int32_data: vec![0x3c00, 0x4000],
            ..bare
        };
        let of = |tensor| TensorRef::of(tensor, "model.onnx").unwrap();
        assert_eq!(of(&raw), of(&typed));
        assert!(of(&raw).is_same_data(&of(&typed)));
    }

    #[test]
    fn halves_are_parts_of_the_same_place() {
        let tensor = external_tensor(&[("location", "w.data"), ("offset", "8"), ("length", "24")]);
        let whole = TensorRef::of(&tensor, "model.onnx").unwrap();
        let places = [false, true].map(|second| format!("{:?}", whole.half(second).unwrap().place));
        assert_eq!(places, ["w.data[8, 12]", "w.data[20, 12]"]);
        assert_eq!(whole.half(true).unwrap().elements(), 3);
        assert!(whole.half(true).unwrap().half(false).is_none());
    }

    #[test]
    fn small_constants_are_numbers() {
        let scalar = |data_type, bytes: &'static [u8]| TensorProto {
            data_type,
            raw_data: Some(Bytes::from_static(bytes)),
            ..TensorProto::default()
        };
        assert_eq!(number(&scalar(1, &[0, 0, 0, 0x3f])), Some(0.5));
        assert_eq!(number(&scalar(10, &[0, 0x38])), Some(0.5));
        assert_eq!(integers(&scalar(6, &[7, 0, 0, 0])), Some(vec![7]));
        assert_eq!(number(&scalar(9, &[1])), None);
    }
}
