//! Holds engines to the instruction set to which `MOBILENET_ISA` holds this process, so that a machine
//! with AVX-512 shows what all are worth without.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use mobilenet::kernels::simd::Isa;

/// Whether this machine has more than the instruction set in use.
pub(super) fn is_held(isa: Isa) -> bool {
    let best = Isa::ALL.into_iter().rev().find(|isa| isa.is_available());
    best != Some(isa)
}

/// Whether every program can be held, by `benches/peers/hold`: whether the processor can refuse to say
/// what it has.
pub(super) fn holds_all(isa: Isa) -> bool {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let can_refuse = information
        .split_whitespace()
        .any(|flag| flag == "cpuid_fault");
    isa == Isa::Avx2 && is_held(isa) && can_refuse
}

/// Holds an engine, by the library if there is one, and by the engine's own switches.
pub(super) fn hold(command: &mut Command, library: Option<&Path>) -> Result<()> {
    let isa = Isa::best()?;
    if isa == Isa::Avx2 && is_held(isa) {
        command
            .env("ONEDNN_MAX_CPU_ISA", "AVX2")
            .env("OV_CPU_MAX_ISA", "AVX2")
            .env("ATEN_CPU_CAPABILITY", "avx2");
    }
    if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    Ok(())
}
