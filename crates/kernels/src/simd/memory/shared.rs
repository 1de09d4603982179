//! A buffer that the threads of a team write at the same time, each at its own offsets.

use crate::simd::AlignedBuffer;

/// A buffer that several threads access through raw pointers ([`Self::pointer`], [`Self::at`]). The
/// plan of the program decides which thread reads and writes what.
pub(crate) struct SharedBuffer {
    #[expect(dead_code, reason = "owns the memory that `start` points to")]
    buffer: AlignedBuffer,
    start: *mut f32,
    len: usize,
}

// SAFETY: the values are plain f32. Every access through a pointer is `unsafe`, and whoever makes
// it guarantees that no thread writes a value while another one reads or writes it.
unsafe impl Sync for SharedBuffer {}
// SAFETY: `start` points to heap memory that the buffer owns, and moving the buffer does not move
// it.
unsafe impl Send for SharedBuffer {}

impl SharedBuffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = AlignedBuffer::zeros(len).in_huge_pages();
        let start = buffer.as_mut_slice().as_mut_ptr();
        Self { buffer, start, len }
    }

    /// A buffer of at least `bytes` bytes, all 0.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self::zeros(bytes.div_ceil(size_of::<f32>()))
    }

    /// A pointer to byte `offset`, which must be inside the buffer, as a pointer to any type.
    #[inline]
    pub(crate) fn at<T>(&self, offset: usize) -> *mut T {
        debug_assert!(offset <= self.len * size_of::<f32>());
        // wrapping: whoever dereferences the pointer must stay inside the buffer.
        self.start.wrapping_byte_add(offset).cast()
    }

    /// `len` values from `offset` on. No thread may write them while the slice is in use.
    ///
    /// # Panics
    /// If they are not inside the buffer.
    pub(crate) fn read(&self, offset: usize, len: usize) -> &[f32] {
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: the assertion keeps the slice inside the buffer, which is initialised. The
        // threads of a team write only while the owner waits in `Team::run`, and only the owner
        // calls this.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    /// `len` values from `offset` on, to be written.
    ///
    /// # Panics
    /// If they are not inside the buffer.
    pub(crate) fn write(&mut self, offset: usize, len: usize) -> &mut [f32] {
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: as in `read`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset), len) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A pointer to the value at `offset`, which must be at most `len`.
    #[inline]
    pub(crate) fn pointer(&self, offset: usize) -> *mut f32 {
        debug_assert!(offset <= self.len);
        // wrapping_add: whoever dereferences the pointer must stay inside the buffer.
        self.start.wrapping_add(offset)
    }
}

impl std::fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedBuffer({} values)", self.len)
    }
}
