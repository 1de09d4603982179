//! Keeps LLVM from rewriting the addresses of a loop.

/// The same value, of which LLVM does not know that it is the same, and a point that no load is
/// moved across. It costs no instruction.
#[inline(always)]
pub(crate) fn opaque<T: Register>(value: T) -> T {
    value.opaque()
}

/// What fits in a register.
pub(crate) trait Register: Copy {
    fn opaque(self) -> Self;
}

macro_rules! register {
    ($([$($generic:ident)?] $type:ty;)*) => {
        $(impl<$($generic)?> Register for $type {
            #[inline(always)]
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            fn opaque(mut self) -> Self {
                // SAFETY: there is no instruction. The value stays in its register.
                unsafe {
                    std::arch::asm!("/* {0} */", inout(reg) self, options(nostack, preserves_flags));
                }
                self
            }

            #[inline(always)]
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            fn opaque(self) -> Self {
                self
            }
        })*
    };
}

register!([] usize; [T] *const T;);
