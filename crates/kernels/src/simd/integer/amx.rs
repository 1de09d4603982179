//! x86-64 with AMX: a unit that multiplies whole matrices of bytes, in registers of 16 rows of 64 bytes.
//! Instructions of AVX-512 with VNNI do the rest. Their weights have the order that the unit needs.
//!
//! `std` has no functions for AMX yet, so instructions are written as assembler.

use std::arch::asm;
use std::arch::x86_64::_xgetbv;
use std::sync::OnceLock;

use super::vector::BLOCK;
use crate::simd::processor::leaf;

/// Vectors of output channels of a block.
const VECTORS: usize = 4;

/// Bytes of a vector of weights or of sums.
const VECTOR: usize = 64;

/// Products of a sum in an instruction, at most, and at least where it pays.
const DEPTHS: [usize; 2] = [64, 24];

/// Proof that the machine has AMX for bytes, and that the system lets this process use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amx(());

impl Amx {
    pub(super) fn detect() -> Option<Self> {
        static DETECTED: OnceLock<bool> = OnceLock::new();
        let found = *DETECTED.get_or_init(|| has_instructions() && is_permitted());
        found.then_some(Self(()))
    }

    /// Prepares the unit for pixels of `stride` values, if it takes them, and returns the products of a
    /// sum in an instruction.
    pub(super) fn begin(self, stride: usize) -> Option<usize> {
        let [most, least] = DEPTHS;
        let divides = |depth: &usize| stride.is_multiple_of(*depth);
        let depth = (least..=most).rev().step_by(4).find(divides)?;
        let mut tiles = Tiles::default();
        for tile in 0..8 {
            // The right operands have a row for four products, all others one for each pixel.
            let rows = if tile < LEFT + 1 { BLOCK } else { depth / 4 };
            let bytes = if tile == LEFT { depth } else { VECTOR };
            (tiles.rows[tile], tiles.bytes[tile]) = (rows as u8, bytes as u16);
        }
        // SAFETY: `self` proves that there is the unit; the description is valid and of 64 bytes.
        unsafe {
            asm!("ldtilecfg [{0}]", in(reg) &tiles, options(nostack, readonly, preserves_flags))
        }
        Some(depth)
    }

    /// Releases the unit: the system need not keep its registers any more.
    pub(super) fn end(self) {
        // SAFETY: `self` proves that there is the unit.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
    }

    /// Writes the sums of [`BLOCK`] pixels by [`VECTORS`] vectors, `[BLOCK, VECTORS * 16]`.
    ///
    /// # Safety
    /// The unit must be prepared for the stride, with this depth. The pixels, of `stride` values each, the
    /// weights, `[stride / 4, VECTORS, 64]`, and what the sums begin with must be readable, and the sums
    /// writable.
    #[inline(always)]
    pub(super) unsafe fn block(
        self,
        depth: usize,
        (values, stride): (*const u8, usize),
        weights: *const i8,
        start: *const i32,
        sums: *mut i32,
    ) {
        const ROW: usize = VECTORS * VECTOR;
        // SAFETY: the caller guarantees that the registers have these sizes, and the memory. The compiler
        // keeps nothing in these registers.
        unsafe {
            asm!(
                "tileloadd tmm0, [{start} + {none}]",
                "tileloadd tmm1, [{start} + {none} + 64]",
                "tileloadd tmm2, [{start} + {none} + 128]",
                "tileloadd tmm3, [{start} + {none} + 192]",
                "2:",
                "tileloadd tmm4, [{values} + {stride}]",
                "tileloadd tmm5, [{weights} + {row}]",
                "tdpbusd tmm0, tmm4, tmm5",
                "tileloadd tmm6, [{weights} + {row} + 64]",
                "tdpbusd tmm1, tmm4, tmm6",
                "tileloadd tmm7, [{weights} + {row} + 128]",
                "tdpbusd tmm2, tmm4, tmm7",
                "tileloadd tmm5, [{weights} + {row} + 192]",
                "tdpbusd tmm3, tmm4, tmm5",
                "add {values}, {depth}",
                "add {weights}, {step}",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {row}], tmm0",
                "tilestored [{sums} + {row} + 64], tmm1",
                "tilestored [{sums} + {row} + 128], tmm2",
                "tilestored [{sums} + {row} + 192], tmm3",
                start = in(reg) start,
                none = in(reg) 0usize,
                values = inout(reg) values => _,
                stride = in(reg) stride,
                weights = inout(reg) weights => _,
                row = in(reg) ROW,
                depth = in(reg) depth,
                step = in(reg) depth / 4 * ROW,
                steps = inout(reg) stride / depth => _,
                sums = in(reg) sums,
                options(nostack),
            );
        }
    }
}

/// The register that holds left operands. Those before hold sums, those after right operands.
const LEFT: usize = VECTORS;

/// What the unit's registers are, as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct Tiles {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Default for Tiles {
    fn default() -> Self {
        Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes: [0; 16],
            rows: [0; 16],
        }
    }
}

fn has_instructions() -> bool {
    /// Bits of AMX's tiles and of its products of bytes, and of the tiles' registers.
    const FEATURES: u32 = 1 << 24 | 1 << 25;
    const REGISTERS: u64 = 1 << 17 | 1 << 18;
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: the system has enabled `xsave`, and register 0 exists.
        unsafe { _xgetbv(0) }
    }
    if !is_x86_feature_detected!("xsave") || leaf(0).eax < 7 {
        return false;
    }
    // SAFETY: the machine has `xsave`.
    leaf(7).edx & FEATURES == FEATURES && unsafe { saved() } & REGISTERS == REGISTERS
}

/// Asks Linux for the registers, which it gives to processes that ask, and then to all their threads.
/// Other systems are not asked.
fn is_permitted() -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `ARCH_REQ_XCOMP_PERM`, and the registers' number.
        const REQUEST: i32 = 0x1023;
        const TILES: u64 = 18;
        // SAFETY: the call has no pointers.
        unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}
