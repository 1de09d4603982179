//! The machine that results are from, when they were measured, and the name of its folder.

use std::path::Path;
use std::process::Command;

use super::hold::{holds_all, is_held};
use anyhow::Result;
use mobilenet::kernels::simd::{IntegerIsa, Isa, measure_bandwidth, measure_peak};
use serde::{Deserialize, Serialize};

/// One part's machine and time. Older results lack some of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) date: String,
    /// Of this project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    commit: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) isa: String,
    /// Instructions for products of bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    integer_isa: String,
    /// Whether `MOBILENET_ISA` named less than the machine has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_held: bool,
    /// Whether all other engines were held to the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    holds_all: bool,
    /// Measured multiply-add peak of one core, in GFLOP/s.
    pub(super) peak_gflops: f64,
    /// Measured speed at which one core reads memory, in GB/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_gbs: Option<f64>,
    /// The same of a buffer of 1 MiB, about the size of a step, which caches hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_gbs: Option<f64>,
}

/// Peers whose products can be held to an instruction set: those of oneDNN.
const HELD: [&str; 2] = ["openvino", "pytorch"];

impl Machine {
    pub(super) fn here(root: &Path) -> Result<Self> {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = information.lines().find(|line| line.starts_with(name))?;
            Some(line.split(':').nth(1)?.trim().to_string())
        };
        let isa = Isa::best()?;
        Ok(Self {
            date: said(Command::new("date").arg("+%Y-%m-%d")),
            commit: said(
                Command::new("git")
                    .args(["describe", "--always", "--dirty", "--exclude=*"])
                    .current_dir(root),
            ),
            processor: format!(
                "{}, family {}, model {}",
                field("model name").unwrap_or("unknown".into()),
                field("cpu family").unwrap_or_default(),
                field("model").unwrap_or_default(),
            ),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            isa: isa.to_string(),
            integer_isa: IntegerIsa::best()?.to_string(),
            is_held: is_held(isa),
            holds_all: holds_all(isa),
            peak_gflops: measure_peak(isa),
            memory_gbs: Some(measure_bandwidth(isa, 1 << 30)),
            cache_gbs: Some(measure_bandwidth(isa, 1 << 20)),
        })
    }

    /// The folder of its results: processor and instruction set.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", processor_slug(&self.processor), self.isa)
    }

    /// What was measured of the speeds at which one core reads, in GB/s.
    pub(super) fn bandwidths(&self) -> Vec<(&'static str, f64)> {
        let speeds = [
            ("memory", self.memory_gbs),
            ("1 MiB in caches", self.cache_gbs),
        ];
        let speeds = speeds.into_iter();
        speeds
            .filter_map(|(source, speed)| Some((source, speed?)))
            .collect()
    }

    /// Instruction sets of f32 and, where they are another, of integers.
    pub(super) fn instructions(&self) -> String {
        if self.integer_isa.is_empty() || self.integer_isa == self.isa {
            return self.isa.clone();
        }
        format!("{} (integers: {})", self.isa, self.integer_isa)
    }

    pub(super) fn commit(&self) -> &str {
        match self.commit.as_str() {
            "" => "not stored",
            commit => commit,
        }
    }

    /// Whether some engines may use more of the machine than we.
    pub(super) fn some_have_more(&self) -> bool {
        self.is_held && !self.holds_all
    }

    /// Whether an engine may.
    pub(super) fn has_more(&self, engine: &str) -> bool {
        let ours = ["plan", "eager", "train", "integers"].contains(&engine);
        self.some_have_more() && !ours && !HELD.contains(&engine)
    }

    /// The mark of such an engine in tables.
    pub(super) fn mark(&self, engine: &str) -> &'static str {
        if self.has_more(engine) { "\\*" } else { "" }
    }

    /// What the mark means; empty if there is none.
    pub(super) fn footnote(&self) -> String {
        if !self.is_held {
            return String::new();
        }
        if self.holds_all {
            return format!(
                "\n\nThe machine has more than {0}: `MOBILENET_ISA` held this project to it, and \
                 `benches/peers/hold` all other engines: it answers for the processor.",
                self.isa
            );
        }
        format!(
            "\n\nThe machine has more than {0}: `MOBILENET_ISA` held this project to it. So were \
             held PyTorch and OpenVINO by `ONEDNN_MAX_CPU_ISA`, for what they compute by oneDNN, and \
             by their own variables, which not every release of OpenVINO heeds. Engines with \\* have \
             no such switch and use all that the machine has.",
            self.isa
        )
    }
}

/// Output of a command in one line; empty if it fails.
fn said(command: &mut Command) -> String {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    text.unwrap_or_default()
}

/// A short name of a processor: of the generation where it is known, otherwise with the model.
fn processor_slug(processor: &str) -> String {
    let number = |word: &str| {
        let (_, rest) = processor.split_once(word)?;
        rest.split(',').next()?.trim().parse::<u32>().ok()
    };
    let name = processor.split(',').next().unwrap_or_default();
    let (family, model) = (number(", family "), number(", model "));
    let generation = match (name.starts_with("AMD"), family, model) {
        (true, Some(0x17), Some(0x30..)) => Some("zen2"),
        (true, Some(0x17), _) => Some("zen"),
        (true, Some(0x19), Some(0x10..=0x1f | 0x60..)) => Some("zen4"),
        (true, Some(0x19), _) => Some("zen3"),
        (true, Some(0x1a), _) => Some("zen5"),
        _ => None,
    };
    if let Some(generation) = generation {
        return generation.to_string();
    }
    let families = ["Xeon", "Core", "Atom", "Pentium", "Celeron"];
    let intel = name.starts_with("Intel");
    let family = families
        .iter()
        .find(|family| intel && name.contains(**family));
    let words = family.map_or(name, |family| *family).to_lowercase();
    let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let model = model.map(|model| model.to_string());
    words.extend(model.as_deref());
    words.join("-")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine with little in it.
    pub(crate) fn machine(processor: &str, isa: &str, date: &str) -> Machine {
        serde_json::from_value(serde_json::json!({
            "date": date, "processor": processor, "cores": 2, "isa": isa, "peak_gflops": 100.0,
        }))
        .unwrap()
    }

    #[test]
    fn folders_are_named_after_generation_and_instruction_set() {
        for (processor, isa, folder) in [
            ("AMD EPYC, family 26, model 2", "avx512", "zen5-avx512"),
            (
                "AMD EPYC 7763 64-Core Processor, family 25, model 1",
                "avx2",
                "zen3-avx2",
            ),
            (
                "AMD EPYC 9R14, family 25, model 17",
                "avx512",
                "zen4-avx512",
            ),
            (
                "AMD Ryzen 9 5950X, family 25, model 33",
                "avx2",
                "zen3-avx2",
            ),
            ("AMD Ryzen 7, family 25, model 97", "avx512", "zen4-avx512"),
            ("AMD EPYC, family 23, model 49", "avx2", "zen2-avx2"),
            (
                "Intel(R) Xeon(R) Processor, family 6, model 207",
                "avx512",
                "xeon-207-avx512",
            ),
            (
                "Intel(R) Core(TM) i7-1185G7 @ 3.00GHz, family 6, model 140",
                "avx2",
                "core-140-avx2",
            ),
            ("unknown, family , model ", "neon", "unknown-neon"),
            (
                "Some/../CPU, family 9, model 7",
                "scalar",
                "some-cpu-7-scalar",
            ),
        ] {
            assert_eq!(machine(processor, isa, "").folder(), folder);
        }
    }

    #[test]
    fn engines_without_a_switch_are_marked_where_we_are_held() {
        let mut machine = machine("unknown", "avx2", "");
        assert_eq!(
            (machine.mark("litert"), machine.footnote().as_str()),
            ("", "")
        );
        machine.is_held = true;
        assert_eq!((machine.mark("litert"), machine.mark("plan")), ("\\*", ""));
        assert_eq!(
            (machine.mark("openvino"), machine.mark("onnxruntime-nodes")),
            ("", "\\*")
        );
        assert!(machine.footnote().contains("more than avx2"));
        machine.holds_all = true;
        assert_eq!(machine.mark("litert"), "");
        assert!(machine.footnote().contains("all other engines"));
    }
}
