//! Reads our event files with TensorBoard's own reader (`golden/read_event_files.py`). Needs a
//! Python with TensorBoard, named by `MOBILENET_TENSORBOARD_PYTHON`. Another test, which does not
//! need it, compares the bytes with TensorFlow's.

use std::process::Command;

use mobilenet_train::log::{EpochRecord, StepRecord, TensorBoard};
use serde_json::{Value, json};

use crate::skipped::skipped;
use crate::support::path;

#[test]
fn tensorboard_reads_a_resumed_training() {
    let Some(python) = std::env::var_os("MOBILENET_TENSORBOARD_PYTHON") else {
        skipped("MOBILENET_TENSORBOARD_PYTHON names no Python with TensorBoard");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = |step: u64, loss: f64| StepRecord {
        step,
        loss,
        learning_rate: 0.5,
        images_per_second: 64.0,
        staleness: None,
    };
    let mut board = TensorBoard::create(folder.path(), 1).unwrap();
    for step in 1..=4 {
        board.step(&record(step, step as f64)).unwrap();
    }
    // The training is resumed from a checkpoint after step 2, so steps 3 and 4 are repeated.
    let mut board = TensorBoard::create(folder.path(), 3).unwrap();
    for step in 3..=5 {
        board.step(&record(step, 10.0 * step as f64)).unwrap();
    }
    let epoch = EpochRecord {
        epoch: 1,
        accuracy: 0.875,
        recall_5: 1.0,
    };
    board.epoch(5, &epoch).unwrap();

    let output = Command::new(python)
        .arg(path("read_event_files.py"))
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        read,
        json!({
            "losses/total_loss": [[1, 1.0], [2, 2.0], [3, 30.0], [4, 40.0], [5, 50.0]],
            "training/learning_rate": [[1, 0.5], [2, 0.5], [3, 0.5], [4, 0.5], [5, 0.5]],
            "training/images_per_second": [[1, 64.0], [2, 64.0], [3, 64.0], [4, 64.0], [5, 64.0]],
            "eval/Accuracy": [[5, 0.875]],
            "eval/Recall_5": [[5, 1.0]],
        })
    );
}
