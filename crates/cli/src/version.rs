//! What `--version` prints: the version, the commit and the instruction set in use.

use std::sync::OnceLock;

use mobilenet::kernels::simd::Isa;

/// For example `0.1.0 (commit 0b6c900, avx2)`.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let commit = match option_env!("MOBILENET_COMMIT") {
            Some(commit) => format!("commit {commit}, "),
            None => String::new(),
        };
        let isa = match Isa::best() {
            Ok(isa) => isa.to_string(),
            Err(error) => error.to_string(),
        };
        format!("{} ({commit}{isa})", env!("CARGO_PKG_VERSION"))
    })
}
