//! Exceptions from the rules. An exception that is no longer needed is an error.

use super::circles::Known;

/// Imports that close circles among files.
pub(super) const IMPORTS: [Known; 19] = [
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
        "crates/model/src/checkpoint/error.rs",
        "crates/model/src/checkpoint/misfit.rs",
        "errors of readers and of whole checkpoints share a file",
    ),
    (
        "crates/model/src/checkpoint/graph_facts.rs",
        "crates/model/src/checkpoint/load.rs",
        "the options of loading stand beside loading",
    ),
    (
        "crates/model/src/checkpoint/name_map/mod.rs",
        "crates/model/src/checkpoint/name_map/",
        "the list of frameworks stands beside what their files share",
    ),
    (
        "crates/model/src/checkpoint/readers/mod.rs",
        "crates/model/src/checkpoint/readers/",
        "the list of formats stands beside what their files share",
    ),
    (
        "crates/model/src/checkpoint/readers/hdf5/mod.rs",
        "crates/model/src/checkpoint/readers/hdf5/object.rs",
        "the file's bytes stand beside what reads its objects",
    ),
    (
        "crates/model/src/checkpoint/readers/onnx.rs",
        "crates/model/src/checkpoint/readers/onnx_nodes.rs",
        "the messages stand beside what reads the graph's nodes",
    ),
    (
        "crates/model/src/checkpoint/readers/tflite.rs",
        "crates/model/src/checkpoint/readers/tflite_operators.rs",
        "the tables stand beside what reads the graph's operators",
    ),
    (
        "crates/model/src/preprocess/mod.rs",
        "crates/model/src/preprocess/",
        "errors and photos stand beside what uses its files",
    ),
    (
        "crates/ops/src/fallback.rs",
        "crates/ops/src/functional/batch_norm.rs",
        "the fallback gives the kernel's statistics",
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
