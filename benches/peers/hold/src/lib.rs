//! Holds a program to AVX2: `LD_PRELOAD=libhold.so PROGRAM`.
//!
//! The processor is told to refuse the instruction `cpuid`. Each refusal is a signal, whose handler
//! answers what the processor would, but without AVX-512, AVX-VNNI and AMX. So all that asks the
//! processor what it has computes with AVX2 at most. The loader asked before: `memcpy` and its like may
//! use longer vectors.
//!
//! For Linux on x86-64, where the processor can refuse: `cpuid_fault` in `/proc/cpuinfo`. A program that
//! handles the same signal itself ends.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::arch::x86_64::{__cpuid_count, CpuidResult};
use std::ffi::c_void;
use std::ptr::null_mut;

use libc::{REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RIP, SIGSEGV, c_int};

/// The bytes of `cpuid`.
const CPUID: [u8; 2] = [0x0f, 0xa2];

/// Bits of leaf 7 that are AVX-512, of `ebx` and `ecx`.
const AVX512: [u32; 2] = [
    1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31,
    1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14,
];

/// Bits of leaf 7 that are AVX-512 or AMX, of `edx`.
const MORE: u32 = 1 << 2 | 1 << 3 | 1 << 8 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25;

/// What the loader calls before the program begins.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    // SAFETY: an action of zeros has no flags and blocks no signals; the handler has the type that
    // `SA_SIGINFO` asks for.
    let is_set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(SIGSEGV, &action, null_mut()) == 0
    };
    if !is_set || !allow_cpuid(false) {
        eprintln!("hold: this machine cannot refuse `cpuid`");
        std::process::exit(1);
    }
}

/// Whether this thread, and those that it starts, may use `cpuid`. Whether that could be set.
fn allow_cpuid(allow: bool) -> bool {
    /// `ARCH_SET_CPUID`.
    const REQUEST: c_int = 0x1012;
    // SAFETY: the call has no pointers.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, libc::c_ulong::from(allow)) == 0 }
}

/// What the processor answers, less what it is not to have.
fn answer(leaf: u32, part: u32) -> CpuidResult {
    allow_cpuid(true);
    let mut answer = __cpuid_count(leaf, part);
    allow_cpuid(false);
    match (leaf, part) {
        (7, 0) => {
            answer.ebx &= !AVX512[0];
            answer.ecx &= !AVX512[1];
            answer.edx &= !MORE;
        }
        // AVX-VNNI, AVX-IFMA, and younger ones.
        (7, _) => (answer.eax, answer.edx) = (0, 0),
        _ => {}
    }
    answer
}

/// Answers in place of a refused `cpuid`. Other faults end the program when they repeat.
extern "C" fn handle(_signal: c_int, _information: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the registers of the interrupted code, which the handler alone uses, and
    // its next instruction is readable.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let registers = &mut context.uc_mcontext.gregs;
        let next = registers[REG_RIP as usize] as *const [u8; 2];
        if next.read_unaligned() != CPUID {
            libc::signal(SIGSEGV, libc::SIG_DFL);
            return;
        }
        let [leaf, part] = [REG_RAX, REG_RCX].map(|register| registers[register as usize] as u32);
        let found = answer(leaf, part);
        for (register, value) in [
            (REG_RAX, found.eax),
            (REG_RBX, found.ebx),
            (REG_RCX, found.ecx),
            (REG_RDX, found.edx),
        ] {
            registers[register as usize] = i64::from(value);
        }
        registers[REG_RIP as usize] += CPUID.len() as i64;
    }
}
