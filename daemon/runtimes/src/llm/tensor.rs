//! Memory that ONNX Runtime reads and writes in place.

use std::ptr::NonNull;

use half::{bf16, f16};
use memmap2::MmapMut;
use ort::memory::{Allocator, MemoryInfo};
use ort::value::{DynValue, TensorElementType};
use ort::{AsPointer, sys};

use super::ComputeError;

/// Element type of logits and caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F32,
    F16,
    BF16,
}

impl Float {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the foreign list of types is open")]
    pub(crate) fn of(element: TensorElementType) -> Option<Self> {
        match element {
            TensorElementType::Float32 => Some(Self::F32),
            TensorElementType::Float16 => Some(Self::F16),
            TensorElementType::Bfloat16 => Some(Self::BF16),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    fn element(self) -> TensorElementType {
        match self {
            Self::F32 => TensorElementType::Float32,
            Self::F16 => TensorElementType::Float16,
            Self::BF16 => TensorElementType::Bfloat16,
        }
    }
}

/// Zeroed memory of its own pages: they take no space until they are written, and are given back
/// at once. An allocator would zero pages it reuses, and with them those of sequences that never
/// come.
#[derive(Debug)]
pub(crate) struct Block {
    /// Held to be given back; used through `start`.
    _pages: MmapMut,
    /// Where they are; never changes.
    start: NonNull<u8>,
    bytes: usize,
}

#[expect(unsafe_code, reason = "plain memory")]
// SAFETY: the block owns its memory alone and has no thread of its own.
unsafe impl Send for Block {}

impl Block {
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, ComputeError> {
        let out_of_memory = || ComputeError::OutOfMemory { bytes };
        if isize::try_from(bytes).is_err() {
            return Err(out_of_memory());
        }
        let mut pages = MmapMut::map_anon(bytes.max(1)).map_err(|_| out_of_memory())?;
        let start = NonNull::new(pages.as_mut_ptr()).ok_or_else(out_of_memory)?;
        Ok(Self {
            _pages: pages,
            start,
            bytes,
        })
    }

    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Copies within the block. The two ranges must not overlap.
    pub(crate) fn copy_within(&mut self, from: usize, to: usize, bytes: usize) {
        assert!(
            from + bytes <= self.bytes && to + bytes <= self.bytes,
            "copy inside the block"
        );
        assert!(
            from + bytes <= to || to + bytes <= from,
            "copies of distinct rows"
        );
        #[expect(unsafe_code, reason = "the memory is shared with ONNX Runtime")]
        // SAFETY: both ranges lie inside the block and do not overlap, as just checked; no run is
        // in progress while the cache is borrowed mutably.
        unsafe {
            self.pointer()
                .add(from)
                .copy_to_nonoverlapping(self.pointer().add(to), bytes);
        }
    }

    /// Exchanges two ranges that do not overlap.
    pub(crate) fn swap_within(&mut self, one: usize, other: usize, bytes: usize) {
        assert!(
            one + bytes <= self.bytes && other + bytes <= self.bytes,
            "swap inside the block"
        );
        assert!(
            one + bytes <= other || other + bytes <= one,
            "swaps of distinct rows"
        );
        #[expect(unsafe_code, reason = "the memory is shared with ONNX Runtime")]
        // SAFETY: as for `copy_within`.
        unsafe {
            std::ptr::swap_nonoverlapping(self.pointer().add(one), self.pointer().add(other), bytes);
        }
    }

    /// Copies from foreign memory.
    pub(crate) fn write(&mut self, to: usize, from: &[u8]) {
        assert!(to + from.len() <= self.bytes, "write inside the block");
        #[expect(unsafe_code, reason = "the memory is shared with ONNX Runtime")]
        // SAFETY: the target lies inside the block, as just checked, and `from` is other memory
        // since the block is borrowed mutably.
        unsafe {
            self.pointer()
                .add(to)
                .copy_from_nonoverlapping(from.as_ptr(), from.len());
        }
    }

    pub(crate) fn read(&self, from: usize, bytes: usize) -> &[u8] {
        assert!(from + bytes <= self.bytes, "read inside the block");
        #[expect(unsafe_code, reason = "the memory is shared with ONNX Runtime")]
        // SAFETY: inside the block, as just checked; the system gives zeroed pages; not written
        // while the borrow lasts, since writes need the block mutably.
        unsafe {
            std::slice::from_raw_parts(self.pointer().add(from), bytes)
        }
    }

    /// A tensor over a part of the block, which ONNX Runtime may read and write.
    ///
    /// # Safety
    ///
    /// The block must outlive the tensor and every binding that holds it.
    #[expect(unsafe_code, reason = "ort binds outputs to memory of its own only")]
    pub(crate) unsafe fn tensor(
        &self,
        offset: usize,
        float: Float,
        shape: &[usize],
    ) -> Result<DynValue, ComputeError> {
        let bytes = shape.iter().product::<usize>() * float.bytes();
        assert!(offset + bytes <= self.bytes, "a tensor inside the block");
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let place = MemoryInfo::default();
        let mut value: *mut sys::OrtValue = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the memory is valid as the caller promises.
        unsafe {
            let status = (ort::api().CreateTensorWithDataAsOrtValue)(
                place.ptr(),
                self.pointer().add(offset).cast(),
                bytes,
                shape.as_ptr(),
                shape.len(),
                float.element().into(),
                &raw mut value,
            );
            ort::Error::result_from_status(status)?;
            let value = NonNull::new(value).ok_or_else(|| ort::Error::new("no tensor was made"))?;
            Ok(DynValue::from_ptr(value, Some(&Allocator::default())))
        }
    }
}

/// A tensor over a block of its own.
pub(crate) struct OwnedTensor {
    // Before the block: freed first.
    value: DynValue,
    block: Block,
}

impl OwnedTensor {
    pub(crate) fn zeroed(float: Float, shape: &[usize]) -> Result<Self, ComputeError> {
        let block = Block::zeroed(shape.iter().product::<usize>() * float.bytes())?;
        #[expect(unsafe_code, reason = "see Block::tensor")]
        // SAFETY: fields are dropped in order, so the value goes first; it is only lent out.
        let value = unsafe { block.tensor(0, float, shape)? };
        Ok(Self { value, block })
    }

    pub(crate) fn value(&self) -> &DynValue {
        &self.value
    }

    pub(crate) fn write(&mut self, to: usize, from: &[u8]) {
        self.block.write(to, from);
    }
}

/// The bytes of a tensor in the computer's main memory.
pub(crate) fn bytes_of(value: &DynValue, float: Float) -> Result<&[u8], ComputeError> {
    if value.dtype().tensor_type() != Some(float.element()) {
        return Err(
            ort::Error::new(format!("a tensor of type {} instead of {float:?}", value.dtype())).into(),
        );
    }
    let elements = shape_of(value).iter().product::<i64>();
    let elements = usize::try_from(elements).map_err(|_| ort::Error::new("a tensor of negative size"))?;
    if elements == 0 {
        return Ok(&[]);
    }
    let mut data: *mut std::ffi::c_void = std::ptr::null_mut();
    #[expect(unsafe_code, reason = "ort reads tensors of known types only")]
    // SAFETY: the value is a tensor of this element type on the CPU, the only device in use, and
    // lives as long as the borrow.
    unsafe {
        let status = (ort::api().GetTensorMutableData)(value.ptr().cast_mut(), &raw mut data);
        ort::Error::result_from_status(status)?;
        Ok(std::slice::from_raw_parts(
            data.cast::<u8>(),
            elements * float.bytes(),
        ))
    }
}

pub(crate) fn shape_of(value: &DynValue) -> &[i64] {
    value.dtype().tensor_shape().map_or(&[], |shape| &shape[..])
}

/// Rows of logits as the graph left them.
pub(crate) struct Logits {
    value: DynValue,
    float: Float,
    vocabulary: usize,
    /// Elements before each row.
    rows: Vec<usize>,
    converted: Vec<f32>,
    /// Which of the rows is asked for by each number.
    order: Vec<usize>,
}

impl Logits {
    /// The last position of each of `rows` sequences.
    pub(crate) fn last_of(value: DynValue, float: Float, rows: usize) -> Result<Self, ComputeError> {
        let shape = shape_of(&value);
        let (positions, vocabulary) = match *shape {
            [batch, positions, vocabulary] if batch == rows as i64 => (positions, vocabulary),
            [batch, vocabulary] if batch == rows as i64 => (1, vocabulary),
            _ => return Err(unexpected(&value, rows)),
        };
        let (Ok(positions @ 1..), Ok(vocabulary @ 1..)) =
            (usize::try_from(positions), usize::try_from(vocabulary))
        else {
            return Err(unexpected(&value, rows));
        };
        let starts = (1..=rows).map(|row| (row * positions - 1) * vocabulary).collect();
        Self::of(value, float, vocabulary, starts)
    }

    /// Each of the `rows` positions that were asked for, of all sequences together.
    pub(crate) fn of_rows(value: DynValue, float: Float, rows: usize) -> Result<Self, ComputeError> {
        let vocabulary = match *shape_of(&value) {
            [1, positions, vocabulary] | [positions, vocabulary] if positions == rows as i64 => vocabulary,
            _ => return Err(unexpected(&value, rows)),
        };
        let Ok(vocabulary @ 1..) = usize::try_from(vocabulary) else {
            return Err(unexpected(&value, rows));
        };
        let starts = (0..rows).map(|row| row * vocabulary).collect();
        Self::of(value, float, vocabulary, starts)
    }

    fn of(value: DynValue, float: Float, vocabulary: usize, rows: Vec<usize>) -> Result<Self, ComputeError> {
        let mut logits = Self {
            value,
            float,
            vocabulary,
            order: (0..rows.len()).collect(),
            rows,
            converted: Vec::new(),
        };
        logits.convert()?;
        Ok(logits)
    }

    fn convert(&mut self) -> Result<(), ComputeError> {
        if self.float == Float::F32 {
            return Ok(());
        }
        let bytes = bytes_of(&self.value, self.float)?;
        for &start in &self.rows {
            let row = &bytes[start * 2..(start + self.vocabulary) * 2];
            let halves = row
                .chunks_exact(2)
                .map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
            match self.float {
                Float::F16 => self
                    .converted
                    .extend(halves.map(|bits| f16::from_bits(bits).to_f32())),
                Float::BF16 => self
                    .converted
                    .extend(halves.map(|bits| bf16::from_bits(bits).to_f32())),
                Float::F32 => {}
            }
        }
        Ok(())
    }

    /// Puts row `order[i]` at place i.
    pub(crate) fn reorder(&mut self, order: &[usize]) {
        self.order = order.to_vec();
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    pub(crate) fn row(&self, row: usize) -> Result<&[f32], ComputeError> {
        let row = self.order[row];
        if self.float != Float::F32 {
            return Ok(&self.converted[row * self.vocabulary..(row + 1) * self.vocabulary]);
        }
        let (_, all) = self.value.try_extract_tensor::<f32>()?;
        Ok(&all[self.rows[row]..self.rows[row] + self.vocabulary])
    }
}

fn unexpected(value: &DynValue, rows: usize) -> ComputeError {
    ComputeError::LogitsShape {
        shape: shape_of(value).to_vec(),
        rows,
    }
}
