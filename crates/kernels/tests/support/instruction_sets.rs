//! Runs a test once on each instruction set. The test's name contains the set:
//! `avx2::name_of_the_test`.

use std::io::Write;

use mobilenet_kernels::simd::Isa;

/// Runs a test on an instruction set, or reports that the machine lacks the set. The report is
/// written to standard error directly, because libtest hides what a passing test prints.
pub(crate) fn run_on(isa: Isa, name: &str, test: impl FnOnce(Isa)) {
    #[cfg(target_arch = "wasm32")]
    host::tell(name);
    if isa.is_available() {
        return test(isa);
    }
    let is_ci = std::env::var_os("CI").is_some();
    assert!(isa != Isa::Avx2 || !is_ci, "CI must test AVX2");
    let report = format!("SKIPPED {name}: this machine has no {isa}\n");
    drop(std::io::stderr().write_all(report.as_bytes()));
}

/// WebAssembly has no standard output: the program that runs the module writes what a test says.
#[cfg(target_arch = "wasm32")]
mod host {
    #[link(wasm_import_module = "host")]
    #[allow(unsafe_code, reason = "an import")]
    unsafe extern "C" {
        /// Writes text, of which it is given address and length.
        safe fn say(text: *const u8, length: usize);
    }

    /// Names the test that begins, and sees to it that a panic is heard.
    pub(super) fn tell(test: &str) {
        std::panic::set_hook(Box::new(|panic| write(&panic.to_string())));
        write(test);
    }

    fn write(text: &str) {
        say(text.as_ptr(), text.len());
    }
}

/// Declares each function as a test, once per instruction set of the target architecture.
macro_rules! on_each_instruction_set {
    ($($test:ident)*) => {
        #[cfg(not(target_arch = "wasm32"))]
        $crate::instruction_sets::on_each_instruction_set!(@ scalar Scalar: $($test)*);
        #[cfg(target_arch = "x86_64")]
        $crate::instruction_sets::on_each_instruction_set!(@ avx2 Avx2: $($test)*);
        #[cfg(target_arch = "x86_64")]
        $crate::instruction_sets::on_each_instruction_set!(@ avx512 Avx512: $($test)*);
        #[cfg(target_arch = "aarch64")]
        $crate::instruction_sets::on_each_instruction_set!(@ neon Neon: $($test)*);
        #[cfg(target_arch = "wasm32")]
        $crate::instruction_sets::on_each_instruction_set!(@ wasm128 Wasm128: $($test)*);
    };
    (@ $module:ident $isa:ident: $($test:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    let name = concat!(stringify!($module), "::", stringify!($test));
                    let isa = mobilenet_kernels::simd::Isa::$isa;
                    $crate::instruction_sets::run_on(isa, name, super::$test);
                }
            )*
        }
    };
}
pub(crate) use on_each_instruction_set;
