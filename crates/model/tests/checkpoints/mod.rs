//! Checkpoints of every framework: read, written, and refused.

mod checkpoint_files;
mod class_names;
mod exports;
mod formats;
mod graph_files;
mod hostile_files;
mod hostile_graphs;
mod keras_files;
mod misfits;
mod other_frameworks;
mod real_files;
mod tflite_export;
