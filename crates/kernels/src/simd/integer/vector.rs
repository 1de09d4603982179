//! The traits that kernels on integers are written with: `IntegerSimd`, the vectors of one
//! instruction set, and `IntegerKernel`, work that is compiled for each set.

use super::rounding::{ExactRounding, Scaling};
use super::row::{Row, Target};

/// Most sums in a vector.
pub(crate) const MOST_LANES: usize = 16;

/// Pixels that a unit for blocks multiplies at once.
pub(crate) const BLOCK: usize = 16;

/// Work that is compiled for every instruction set.
pub(crate) trait IntegerKernel {
    /// Result of the work.
    type Output;

    /// Does the work. This method and all functions that it calls with `S` must be
    /// `#[inline(always)]`: only then are they compiled for the instruction set.
    fn run<S: IntegerSimd>(self, simd: S) -> Self::Output;
}

/// A weight as a kernel reads it.
pub(crate) trait Weight: Copy + Default + Into<i32> {
    /// What is nearest to an integer.
    fn nearest(integer: i32) -> Self;
}

impl Weight for i8 {
    #[inline(always)]
    fn nearest(integer: i32) -> Self {
        integer.clamp(Self::MIN.into(), Self::MAX.into()) as Self
    }
}

impl Weight for i16 {
    #[inline(always)]
    fn nearest(integer: i32) -> Self {
        integer.clamp(Self::MIN.into(), Self::MAX.into()) as Self
    }
}

/// Vectors of 32-bit sums of one instruction set, and products of bytes with weights. A value of
/// the type proves that the machine supports the set. All arithmetic is exact, up to the wrapping
/// of 32-bit sums.
pub(crate) trait IntegerSimd: Copy + Send + Sync + 'static {
    /// 32-bit sums.
    type Sums: Copy;
    /// Left operands of a product, the same for every sum, ready to be multiplied.
    type Left: Copy;
    /// Right operands of a product.
    type Right: Copy;
    /// Two numbers of 16 bits for each lane.
    type Pairs: Copy;
    /// What left operands are kept as: bytes, bytes as 16 bits, or bytes minus `OFFSET`.
    type Value: Copy + From<u8>;
    /// What right operands are kept as: weights in 8 or in 16 bits.
    type Weight: Weight;
    /// Sums in a vector.
    const LANES: usize;
    /// Products that a step adds to each sum.
    const DEPTH: usize;
    /// Pixels in a full tile of the matrix product.
    const TILE: usize;
    /// Steps that a turn of the matrix product's loop does: with several, few instructions are left
    /// that compute addresses.
    const UNROLLED: usize = 1;
    /// Vectors of output channels in a full panel of the matrix product.
    const PANEL: usize;
    /// A step takes weights whole whose magnitudes are at most this.
    const WHOLE: i32;
    /// What is subtracted from bytes that become left operands.
    const OFFSET: i32 = 0;

    /// Runs a kernel, compiled for the instruction set. The call is never inlined.
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output;

    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load(self, from: *const i32) -> Self::Sums;

    /// # Safety
    /// `LANES` values must be writable at `to`.
    unsafe fn store(self, to: *mut i32, sums: Self::Sums);

    /// The left operands of a step.
    ///
    /// # Safety
    /// `DEPTH` values must be readable at `from`.
    unsafe fn left(self, from: *const Self::Value) -> Self::Left;

    /// The right operands of a step: `DEPTH` weights for each lane, in the order of `packed`.
    ///
    /// # Safety
    /// `DEPTH * LANES` weights must be readable at `from`.
    unsafe fn right(self, from: *const Self::Weight) -> Self::Right;

    /// Adds to each lane the products of a step.
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums;

    /// Prepares a unit that multiplies blocks of pixels, if there is one and it takes pixels of `stride`
    /// values: returns the products that its instruction adds to a sum. [`Self::end_blocks`] must follow
    /// on this thread.
    #[inline(always)]
    fn begin_blocks(self, _stride: usize) -> Option<usize> {
        None
    }

    /// Releases it.
    #[inline(always)]
    fn end_blocks(self) {}

    /// Writes the sums of [`BLOCK`] pixels of `stride` values by `PANEL` vectors, `[BLOCK, PANEL * LANES]`,
    /// from the weights of the steps and what the sums begin with.
    ///
    /// # Safety
    /// The unit must be prepared for the stride. What is read must be readable, and the sums writable.
    #[inline(always)]
    unsafe fn block(
        self,
        _depth: usize,
        (_values, _stride): (*const Self::Value, usize),
        _weights: *const Self::Weight,
        _start: *const i32,
        _sums: *mut i32,
    ) {
    }

    /// Takes of a lane's `DEPTH` weights as much as a step multiplies exactly. What is left in
    /// `rest` must go to another step: products are linear.
    #[inline(always)]
    fn take(rest: &mut [i32], taken: &mut [Self::Weight]) {
        for (rest, taken) in rest.iter_mut().zip(taken) {
            *taken = Self::Weight::nearest(*rest);
            *rest -= (*taken).into();
        }
    }

    /// Steps that a lane's `DEPTH` weights need at least.
    #[inline(always)]
    fn least_steps(_weights: &[i32]) -> i32 {
        1
    }

    /// Where the weight `depth` of lane `lane` is among the `DEPTH * LANES` weights of a step.
    #[inline(always)]
    fn packed(lane: usize, depth: usize) -> usize {
        Self::DEPTH * lane + depth
    }

    /// A byte of each lane from three rows, side by side, as the left operands of a step: other ones
    /// for each lane. Only in sets that take columns.
    ///
    /// # Safety
    /// `LANES` bytes must be readable of each row.
    #[inline(always)]
    unsafe fn column(self, _rows: [*const u8; 3]) -> Option<Self::Left> {
        None
    }

    /// Computes a row of a depthwise convolution by quads, if its channels are packed so: only in sets
    /// that have `QuadSimd`, too.
    ///
    /// # Safety
    /// As `depthwise::run`.
    #[inline(always)]
    unsafe fn depthwise_quads(self, row: &Row<'_>, _target: Target<Self::Value>) -> bool {
        debug_assert!(row.quads.is_empty());
        false
    }

    /// Two bytes of each lane, side by side, as 16 bits.
    ///
    /// # Safety
    /// `LANES` bytes must be readable at `a` and at `b`.
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs;

    /// Two weights of each lane, side by side.
    ///
    /// # Safety
    /// `2 * LANES` weights must be readable at `from`.
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs;

    /// Adds to each lane the products of two bytes and two weights.
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums;

    /// Each sum as f32, times its factor, limited to `low..=high`, rounded with ties to even, plus
    /// the zero point. The bounds' magnitudes are below 2^22.
    ///
    /// # Safety
    /// `LANES` factors must be readable at `factors`.
    unsafe fn scale(
        self,
        sums: Self::Sums,
        factors: *const f32,
        bounds: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums;

    /// Each number times a factor, rounded with ties to even, plus the zero point, limited to
    /// `0..=255`. What is not a number counts as 0.
    ///
    /// # Safety
    /// `LANES` numbers must be readable.
    #[inline(always)]
    unsafe fn quantize(self, numbers: *const f32, factor: f32, zero_point: i32) -> Self::Sums {
        let [low, high] = byte_steps(zero_point);
        let mut bytes = [0; MOST_LANES];
        // SAFETY: the caller's guarantee; there is room for the lanes of any instruction set.
        unsafe {
            for (lane, byte) in bytes.iter_mut().enumerate().take(Self::LANES) {
                let steps = (numbers.add(lane).read() * factor).clamp(low, high);
                *byte = zero_point.wrapping_add(steps.round_ties_even() as i32);
            }
            self.load(bytes.as_ptr())
        }
    }

    /// Stores the first `count` sums, which are from 0 to 255, as bytes.
    ///
    /// # Safety
    /// `count` bytes must be writable at `to`; `count` is at most `LANES`.
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize);

    /// Scales the sums of a pixel's first `channels` channels, and stores them as bytes. The first one is
    /// channel `first` of the scaling.
    ///
    /// # Safety
    /// `channels` bytes must be writable at `to`; the last vector has one of them. There are factors for
    /// the vectors.
    #[inline(always)]
    unsafe fn store_pixel<const V: usize>(
        self,
        to: *mut u8,
        sums: [Self::Sums; V],
        scaling: Scaling,
        [first, channels]: [usize; 2],
    ) {
        // SAFETY: the caller's guarantee.
        unsafe { store_vectors(self, to, sums, scaling, [first, channels]) }
    }

    /// Stores the first `count` sums, which are from 0 to 255, as left operands.
    ///
    /// # Safety
    /// `count` values must be writable at `to`; `count` is at most `LANES`.
    unsafe fn store_values(self, to: *mut Self::Value, sums: Self::Sums, count: usize);
}

/// How far bytes can be from the zero point.
#[inline(always)]
pub(super) fn byte_steps(zero_point: i32) -> [f32; 2] {
    [0, 255].map(|byte: i32| byte.wrapping_sub(zero_point) as f32)
}

/// Scales and stores the sums of a pixel, one vector after another.
///
/// # Safety
/// As [`IntegerSimd::store_pixel`].
#[inline(always)]
pub(super) unsafe fn store_vectors<S: IntegerSimd, const V: usize>(
    simd: S,
    to: *mut u8,
    sums: [S::Sums; V],
    scaling: Scaling,
    [first, channels]: [usize; 2],
) {
    // SAFETY: the caller's guarantee.
    let bytes = unsafe { scaled(simd, sums, scaling, first) };
    for (v, sums) in bytes.into_iter().enumerate() {
        let count = (channels - v * S::LANES).min(S::LANES);
        // SAFETY: the caller's guarantee.
        unsafe { simd.store_bytes(to.add(v * S::LANES), sums, count) }
    }
}

/// The sums of a pixel, from a channel on, as integers from 0 to 255.
///
/// # Safety
/// There are factors for the vectors.
#[inline(always)]
pub(super) unsafe fn scaled<S: IntegerSimd, const V: usize>(
    simd: S,
    mut sums: [S::Sums; V],
    scaling: Scaling,
    channel: usize,
) -> [S::Sums; V] {
    for (v, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's guarantee.
        unsafe {
            let factors = scaling.factors.add(channel + v * S::LANES);
            *sums = simd.scale(*sums, factors, scaling.bounds, scaling.zero_point);
        }
    }
    sums
}

/// The first `count` sums of a vector, from a channel on, as integers from 0 to 255.
#[inline(always)]
pub(super) fn rounded<S: IntegerSimd>(
    simd: S,
    sums: S::Sums,
    exact: &dyn ExactRounding,
    [channel, count]: [usize; 2],
) -> S::Sums {
    let mut lanes = [0i32; MOST_LANES];
    // SAFETY: there is room for the lanes of any instruction set.
    unsafe { simd.store(lanes.as_mut_ptr(), sums) };
    for (lane, sum) in lanes.iter_mut().enumerate().take(count) {
        *sum = exact.byte(channel + lane, *sum).into();
    }
    // SAFETY: as above.
    unsafe { simd.load(lanes.as_ptr()) }
}
