//! Where the values of a tile's pixels are, which are equally far apart, by addresses of x86: a base and
//! 1, 2 or 4 times another register. So a loop computes nothing for them but the next base. On Intel's
//! processors by AVX-512, the units that multiply would compute it: a loop of products alone takes 6 %
//! less time so, and 1.0/224 as a whole 2 %.

use super::opaque::opaque;

/// Addresses of up to 14 pixels.
pub(super) struct Addresses<T, const PIXELS: usize> {
    /// Of pixel 0 and of pixel [`SHARE`].
    bases: [*const T; 2],
    /// 1, 3 and 5 times the distance of two pixels.
    strides: [usize; 3],
}

/// Pixels with one base.
const SHARE: usize = 7;

impl<T, const PIXELS: usize> Addresses<T, PIXELS> {
    /// Of pixels `stride` values apart.
    #[inline(always)]
    pub(super) fn new(first: *const T, stride: usize) -> Self {
        let mut own = Self {
            bases: [first, first.wrapping_add(SHARE * stride)],
            strides: [1, 3, 5].map(|factor| opaque(factor * stride)),
        };
        own.advance(0);
        own
    }

    /// Each pixel's value.
    #[inline(always)]
    pub(super) fn values(&self) -> [*const T; 2 * SHARE] {
        let [one, three, five] = self.strides;
        let [a, b] = self.bases.map(|base| {
            let offsets = match cfg!(target_arch = "x86_64") {
                true => [0, one, 2 * one, three, 4 * one, five, 2 * three],
                false => std::array::from_fn(|pixel| pixel * one),
            };
            offsets.map(|offset| base.wrapping_add(offset))
        });
        let mut values = [a[0]; 2 * SHARE];
        values[..SHARE].copy_from_slice(&a);
        values[SHARE..].copy_from_slice(&b);
        values
    }

    /// Goes on by some values.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) {
        let used = PIXELS.div_ceil(SHARE);
        for base in self.bases.iter_mut().take(used) {
            *base = opaque(base.wrapping_add(count));
        }
    }
}
