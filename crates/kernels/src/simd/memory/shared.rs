//! Memory that the threads of one team write at different offsets at the same time.

use crate::simd::AlignedBuffer;

/// A buffer of which several threads hold a pointer. All access is by `unsafe` reads and writes
/// through [`Self::pointer`]; who writes where is the executor's plan.
pub(crate) struct SharedBuffer {
    #[expect(dead_code, reason = "owns the memory that `start` points to")]
    buffer: AlignedBuffer,
    start: *mut f32,
    len: usize,
}

// SAFETY: the buffer is plain f32; whoever accesses it through the pointer promises that no value
// is written by one thread while another reads or writes it.
unsafe impl Sync for SharedBuffer {}
// SAFETY: the pointer is to memory that the buffer owns and that moves with it.
unsafe impl Send for SharedBuffer {}

impl SharedBuffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = AlignedBuffer::zeros(len);
        let start = buffer.as_mut_slice().as_mut_ptr();
        Self { buffer, start, len }
    }

    /// At least so many bytes of zeros.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self::zeros(bytes.div_ceil(size_of::<f32>()))
    }

    /// The memory from byte `offset` on, which must be inside, as values of any type.
    #[inline]
    pub(crate) fn at<T>(&self, offset: usize) -> *mut T {
        debug_assert!(offset <= self.len * size_of::<f32>());
        // wrapping: bounds are the dereferencing caller's obligation.
        self.start.wrapping_byte_add(offset).cast()
    }

    /// Values from `offset` on. No thread may write them while the slice is in use.
    ///
    /// # Panics
    /// Where they are not inside.
    pub(crate) fn read(&self, offset: usize, len: usize) -> &[f32] {
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: inside the buffer and initialised; jobs of a team write only while their owner
        // waits for them, and the owner is who calls this.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    /// Values from `offset` on, to be written.
    ///
    /// # Panics
    /// Where they are not inside.
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
        // wrapping_add: bounds are the dereferencing caller's obligation.
        self.start.wrapping_add(offset)
    }
}

impl std::fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedBuffer({} values)", self.len)
    }
}
