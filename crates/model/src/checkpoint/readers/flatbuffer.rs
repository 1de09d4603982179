//! FlatBuffers: tables whose fields are found by offsets.
//!
//! Each offset is checked before it is followed. Cycles of offsets are harmless, because the schema
//! has a fixed depth.

/// A table. Its methods return `None` where an offset leads out of the file.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// A vector of elements of `width` bytes.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    position: usize,
    width: usize,
    pub(super) len: usize,
}

fn array<const N: usize>(bytes: &[u8], position: usize) -> Option<[u8; N]> {
    bytes.get(position..)?.first_chunk::<N>().copied()
}

fn u32_at(bytes: &[u8], position: usize) -> Option<usize> {
    Some(u32::from_le_bytes(array(bytes, position)?) as usize)
}

/// The position to which the offset stored at `position` points.
fn follow(bytes: &[u8], position: usize) -> Option<usize> {
    position.checked_add(u32_at(bytes, position)?)
}

impl<'a> Table<'a> {
    pub(super) fn root(bytes: &'a [u8]) -> Option<Self> {
        let position = follow(bytes, 0)?;
        Some(Self { bytes, position })
    }

    /// Position of the field with this number in the schema. `None`: the field has its default.
    fn field(&self, index: usize) -> Option<usize> {
        let back = i32::from_le_bytes(array(self.bytes, self.position)?);
        let vtable = usize::try_from(self.position as i64 - i64::from(back)).ok()?;
        let size = usize::from(u16::from_le_bytes(array(self.bytes, vtable)?));
        let entry = 4 + 2 * index;
        if entry + 2 > size {
            return None;
        }
        match u16::from_le_bytes(array(self.bytes, vtable + entry)?) {
            0 => None,
            offset => Some(self.position + usize::from(offset)),
        }
    }

    pub(super) fn u8(&self, index: usize) -> Option<u8> {
        array::<1>(self.bytes, self.field(index)?).map(|[byte]| byte)
    }

    pub(super) fn i32(&self, index: usize) -> Option<i32> {
        array(self.bytes, self.field(index)?).map(i32::from_le_bytes)
    }

    pub(super) fn f32(&self, index: usize) -> Option<f32> {
        array(self.bytes, self.field(index)?).map(f32::from_le_bytes)
    }

    pub(super) fn table(&self, index: usize) -> Option<Self> {
        let position = follow(self.bytes, self.field(index)?)?;
        Some(Self {
            bytes: self.bytes,
            position,
        })
    }

    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        std::str::from_utf8(self.elements(index, 1)?.all()).ok()
    }

    /// A vector of elements of `width` bytes. `None` where it is absent or not wholly in the file.
    pub(super) fn elements(&self, index: usize, width: usize) -> Option<Elements<'a>> {
        let start = follow(self.bytes, self.field(index)?)?;
        let len = u32_at(self.bytes, start)?;
        let position = start.checked_add(4)?;
        let end = position.checked_add(len.checked_mul(width)?)?;
        (end <= self.bytes.len()).then_some(Elements {
            bytes: self.bytes,
            position,
            width,
            len,
        })
    }
}

impl<'a> Elements<'a> {
    pub(super) fn all(&self) -> &'a [u8] {
        &self.bytes[self.position..self.position + self.len * self.width]
    }

    fn element<const N: usize>(&self, index: usize) -> Option<[u8; N]> {
        (index < self.len).then(|| array(self.bytes, self.position + index * self.width))?
    }

    pub(super) fn i32(&self, index: usize) -> Option<i32> {
        self.element(index).map(i32::from_le_bytes)
    }

    pub(super) fn i64(&self, index: usize) -> Option<i64> {
        self.element(index).map(i64::from_le_bytes)
    }

    pub(super) fn f32(&self, index: usize) -> Option<f32> {
        self.element(index).map(f32::from_le_bytes)
    }

    /// The table to which an element, an offset, points.
    pub(super) fn table(&self, index: usize) -> Option<Table<'a>> {
        if index >= self.len {
            return None;
        }
        let position = follow(self.bytes, self.position + index * self.width)?;
        Some(Table {
            bytes: self.bytes,
            position,
        })
    }
}
