//! What the processor says about itself, beyond its instruction sets.

/// Whether Intel made it. Its prefetching into L2 finds rows of far strides by itself, and a request
/// to L1 costs more than the wait that it saves.
pub(crate) fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        leaf(0).ebx.to_le_bytes() == *b"Genu"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// The answer to a question by its number.
#[cfg(target_arch = "x86_64")]
#[allow(
    unused_unsafe,
    reason = "safe in later versions of Rust than the oldest one"
)]
pub(crate) fn leaf(number: u32) -> std::arch::x86_64::CpuidResult {
    // SAFETY: every processor of 64 bits has the instruction.
    unsafe { std::arch::x86_64::__cpuid_count(number, 0) }
}
