//! Trainings that are killed, stopped by a full disk, or find a damaged checkpoint: they go on to the
//! bits of a training that was not interrupted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::training_runs::{checkpoints, newest, photos, results, text, train};

/// Starts or resumes a run and kills it, either some milliseconds after its start or after its next
/// checkpoint. Returns false if the run ended first.
fn kill(mut command: Command, out: &Path, wait_for_checkpoint: bool, milliseconds: u64) -> bool {
    let before = newest(out);
    let null = std::process::Stdio::null;
    let command = command.arg("--resume").stdout(null()).stderr(null());
    let mut child = command.spawn().unwrap();
    while wait_for_checkpoint && newest(out) == before && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(milliseconds));
    let killed = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    killed
}

#[test]
fn runs_killed_twenty_times_end_in_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    let arguments = ["--steps", "200", "--save-every", "4"];
    let whole = folder.path().join("whole");
    let output = train(&data, &whole, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let whole = results(&whole);

    let (mut kills, mut runs) = (0u64, 0);
    while kills < 20 {
        runs += 1;
        let broken = folder.path().join(format!("broken {runs}"));
        // Every second kill waits for a checkpoint. The others may come before the first step.
        while kills < 20
            && kill(
                train(&data, &broken, &arguments),
                &broken,
                kills % 2 == 0,
                kills * 37 % 60,
            )
        {
            kills += 1;
        }
        let mut last = train(&data, &broken, &arguments);
        let output = last.arg("--resume").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(results(&broken) == whole, "run {runs}, after {kills} kills");
    }
    println!("{kills} kills of {runs} runs");
}

/// Imitates a full disk by a limit on file sizes, so that a write fails midway.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    let arguments = ["--steps", "60", "--save-every", "4"];
    let whole = folder.path().join("whole");
    let output = train(&data, &whole, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));

    let out = folder.path().join("full");
    assert!(kill(train(&data, &out, &arguments), &out, true, 0));
    let before = checkpoints(&out);
    let mut resume = train(&data, &out, &arguments);
    let resume = resume.arg("--resume");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"])
        .arg(resume.get_program())
        .args(resume.get_args())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = newest(&out).unwrap();
    for part in ["cannot write", "File too large", &last, "--resume"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
    let partial = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().ends_with(".partial"))
    };
    assert!(!partial(&out) && !partial(&out.join("checkpoints")));
    assert_eq!(checkpoints(&out), before, "{said}");

    let output = resume.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(results(&out) == results(&whole), "the results differ");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let arguments = ["--steps", "8", "--save-every", "4"];
    assert!(
        train(&data, &out, &arguments)
            .output()
            .unwrap()
            .status
            .success()
    );
    let whole = std::fs::read(out.join("model.safetensors")).unwrap();
    let newest = out.join("checkpoints/step-0000000008.safetensors");
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let output = train(&data, &out, &[&arguments[..], &["--resume"]].concat())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("it is damaged") && said.contains("going on after step 4"),
        "{said}"
    );
    assert!(std::fs::read(out.join("model.safetensors")).unwrap() == whole);
}
