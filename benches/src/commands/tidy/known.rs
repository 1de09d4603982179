//! What is not tidy yet. An entry that is no longer needed is an error, too.

use super::circles::Known;

/// Imports that close circles among files.
pub(super) const IMPORTS: [Known; 10] = [
    (
        "crates/kernels/src/inference/build.rs",
        "crates/kernels/src/inference/",
        "a run holds the plan, whose steps take a run",
    ),
    (
        "crates/kernels/src/inference/matrix.rs",
        "crates/kernels/src/inference/",
        "a run holds the plan, whose steps take a run",
    ),
    (
        "crates/kernels/src/inference/packed.rs",
        "crates/kernels/src/inference/packer.rs",
        "weights and their packer know each other",
    ),
    (
        "crates/kernels/src/inference/strassen.rs",
        "crates/kernels/src/inference/run.rs",
        "a run holds the plan, whose steps take a run",
    ),
    (
        "crates/kernels/src/simd/mod.rs",
        "crates/kernels/src/simd/isa.rs",
        "the trait's file dispatches by the instruction set",
    ),
    (
        "crates/kernels/src/training/depthwise.rs",
        "crates/kernels/src/training/plan.rs",
        "a step owns its operation, which takes the step",
    ),
    (
        "crates/kernels/src/training/matrix.rs",
        "crates/kernels/src/training/",
        "a step owns its operation, which takes the step",
    ),
    (
        "crates/kernels/src/training/plan.rs",
        "crates/kernels/src/training/",
        "a step owns its operation, which takes the step",
    ),
    (
        "crates/kernels/src/training/program.rs",
        "crates/kernels/src/training/",
        "the program's steps know the program",
    ),
    (
        "xtask/src/cli/train.rs",
        "xtask/src/cli.rs",
        "the command's arguments are read by the rules of all commands",
    ),
];

/// Files of kernels that mention the network.
pub(super) const MENTIONS: [&str; 3] = [
    "crates/kernels/src/conv.rs",
    "crates/kernels/src/depthwise.rs",
    "crates/kernels/src/simd/team.rs",
];
