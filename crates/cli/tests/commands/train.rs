//! Tests of the commands `train` and `eval`: photos in folders, killed and resumed runs, broken
//! photos, divergence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::lines;
use serde_json::Value;

/// Writes photos of two classes that a small network can tell apart. Per class, 12 are for training
/// and 4 for testing.
fn photos(folder: &Path) -> PathBuf {
    let data = folder.join("photos");
    for (part, count) in [("train", 12), ("test", 4)] {
        for (class, base) in [("dark", 40u8), ("light", 190u8)] {
            let dir = data.join(part).join(class);
            std::fs::create_dir_all(&dir).unwrap();
            for number in 0..count {
                let photo = image::RgbImage::from_fn(40, 36, |x, y| {
                    let noise = (x * 7 + y * 13 + number * 29) % 40;
                    image::Rgb([base + noise as u8, base, base + (y % 20) as u8])
                });
                photo.save(dir.join(format!("{number:02}.png"))).unwrap();
            }
        }
    }
    data
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobilenet"));
    command
        .arg("train")
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out);
    command.args(["--width", "0.25", "--batch-size", "8", "--threads", "2"]);
    command.args(["--log-every", "2"]).args(more);
    // A small network unless a test sets a resolution.
    if !more.contains(&"--resolution") {
        command.args(["--resolution", "32", "--ema=0.9"]);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_folder_of_photos_becomes_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let sizes = [
        "--resolution",
        "64",
        "--epochs",
        "20",
        "--learning-rate",
        "0.01",
    ];
    let rules = ["--augment", "none", "--batch-norm-decay", "0.5", "--json"];
    let output = train(&data, &out, &[&sizes[..], &rules].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = lines(&output);
    for key in ["step", "loss", "learning_rate", "images_per_second"] {
        assert!(lines[0][key].is_number(), "{lines:?}");
    }
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["epoch"].is_u64()).collect();
    assert_eq!(epochs.len(), 20);
    assert_eq!(epochs[19]["accuracy"], 1.0, "{epochs:?}");
    for file in ["model.safetensors", "log.jsonl"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let page = std::fs::read_to_string(out.join("report/report.html")).unwrap();
    for part in ["Loss in training</b>", "<tr><td>steps</td>"] {
        assert!(page.contains(part), "no {part} in {page}");
    }

    let eval = Command::new(env!("CARGO_BIN_EXE_mobilenet"))
        .args(["eval", "--json", "--weights"])
        .arg(out.join("model.safetensors"))
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert!(eval.status.success(), "{}", text(&eval.stderr));
    let line: Value = serde_json::from_slice(&eval.stdout).unwrap();
    assert_eq!(
        (&line["images"], &line["accuracy"]),
        (&8.into(), &1.0.into())
    );

    // The same weights with few values in a small file, which is what was evaluated.
    let (model, small) = (out.join("model.safetensors"), folder.path().join("small"));
    let sizes = ["--resolution", "64", "--epochs", "1", "--json"];
    let compress = ["--compress", "palette4", "--learning-rate", "0.001"];
    let init = ["--init", model.to_str().unwrap()];
    let output = train(&data, &small, &[&sizes[..], &compress, &init].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let last = crate::support::lines(&output).pop().unwrap();
    let small = small.join("model.safetensors");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(5 * size(&small) < size(&model), "{}", size(&small));
    let eval = Command::new(env!("CARGO_BIN_EXE_mobilenet"))
        .args(["eval", "--json", "--weights"])
        .args([small.as_path(), "--data".as_ref(), &data])
        .output()
        .unwrap();
    assert!(eval.status.success(), "{}", text(&eval.stderr));
    assert_eq!(
        crate::support::lines(&eval)[0]["accuracy"],
        last["accuracy"]
    );

    // A second training must not overwrite the first.
    let again = train(&data, &out, &["--epochs", "1"]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is there already"));
    // A run with other settings cannot resume from its checkpoint.
    let other = train(
        &data,
        &out,
        &["--epochs", "20", "--resolution", "64", "--resume"],
    )
    .output()
    .unwrap();
    assert!(
        text(&other.stderr).contains("augmentation was"),
        "{}",
        text(&other.stderr)
    );
}

/// The two networks with which the paper compares: a file of their weights says which it is.
#[test]
fn other_networks_train_and_describe_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    let settings = "--epochs 10 --learning-rate 0.01 --label-smoothing 0 --augment none --batch-norm-decay 0.5 --json";
    let settings: Vec<&str> = settings.split(' ').collect();
    for (network, layers) in [("shallow_mobilenet", 18), ("conv_mobilenet", 15)] {
        let out = folder.path().join(network);
        let own = [&settings[..], &["--network", network]].concat();
        let output = train(&data, &out, &own).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = crate::support::lines(&output);
        let losses = lines.iter().filter_map(|line| line["loss"].as_f64());
        let losses: Vec<f64> = losses.collect();
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");

        let model = out.join("model.safetensors");
        let model = model.to_str().unwrap();
        let said =
            crate::support::json(&["eval", "--json", "-w", model, "-d", data.to_str().unwrap()]);
        assert_eq!(said[0]["accuracy"], lines[lines.len() - 1]["accuracy"]);
        assert_eq!(said[0]["accuracy"], 1.0, "{network}");
        let photo = data.join("test/light/00.png");
        let photo = photo.to_str().unwrap();
        let said = crate::support::json(&["classify", "--json", "--weights", model, photo]);
        assert!(said[0].to_string().contains("light"), "{said:?}");
        // `inspect --network` has the same words.
        for which in [&[model][..], &["--network", network]] {
            let said = crate::support::json(&[&["inspect", "--json"], which].concat());
            let found = said[0]["layers"].as_array().unwrap();
            assert_eq!(found.len(), layers, "{which:?}");
        }
        // So does a graph.
        let graph = folder.path().join("graph.onnx");
        let graph = graph.to_str().unwrap();
        crate::support::json(&["convert", "--json", model, graph]);
        let said = crate::support::json(&["classify", "--json", "--weights", graph, photo]);
        assert!(said[0].to_string().contains("light"), "{said:?}");
        let slim = folder.path().join("slim.safetensors");
        let slim = slim.to_str().unwrap();
        let said = crate::support::error(&["convert", model, slim, "--to", "slim"]);
        assert!(said.contains(&format!("the layers of {network}")), "{said}");

        // Neither the weights nor a checkpoint are those of another network.
        let fresh = folder.path().join("fresh");
        for (out, more) in [
            (&fresh, &["--init", model, "--network", "mobilenet"][..]),
            (&out, &["--resume"]),
        ] {
            let other = train(&data, out, &[&settings[..], more].concat());
            let output = { other }.output().unwrap();
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            let expected = match more {
                ["--resume"] => format!("network was {network} and is now mobilenet"),
                _ => format!("--init is {network}"),
            };
            assert!(said.contains(&expected), "{said}");
        }
    }
    let conv = ["--network", "conv_mobilenet", "--quantize", "--steps", "1"];
    let output = train(&data, &folder.path().join("integers"), &conv).output();
    let output = output.unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("training for integers"), "{said}");
    let wrong = train(&data, folder.path(), &["--network", "conv_mobilnet"]).output();
    let wrong = wrong.unwrap();
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a similar value exists: 'conv_mobilenet'"),
        "{said}"
    );
}

#[test]
fn a_quantised_training_evaluates_integers_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let arguments = [
        "--resolution",
        "64",
        "--learning-rate",
        "0.01",
        "--augment",
        "none",
        "--batch-norm-decay",
        "0.5",
        "--quantize",
        "--quant-delay",
        "6",
        "--freeze-bn-delay",
        "50",
        "--json",
    ];
    let whole = folder.path().join("whole");
    let output = train(
        &data,
        &whole,
        &[&arguments[..], &["--epochs", "20"]].concat(),
    )
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let last = lines(&output).pop().unwrap();
    assert_eq!(
        (&last["epoch"], &last["accuracy"]),
        (&20.into(), &1.0.into())
    );
    // The file of integers is the network that was evaluated.
    let output = Command::new(env!("CARGO_BIN_EXE_mobilenet"))
        .arg("eval")
        .args(["--precision", "int8", "--json", "--weights"])
        .arg(whole.join("model.int8.tflite"))
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(lines(&output)[0]["accuracy"], last["accuracy"]);
    // A shorter run that is prolonged.
    for epochs in ["7", "20"] {
        let more = ["--epochs", epochs, "--resume", "--schedule", "constant"];
        let output = train(&data, &out, &[&arguments[..], &more].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let constant = folder.path().join("constant");
    let more = ["--epochs", "20", "--schedule", "constant"];
    let output = train(&data, &constant, &[&arguments[..], &more].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(results(&out) == results(&constant));

    let more = ["--epochs", "20", "--schedule", "constant", "--resume"];
    let output = train(&data, &out, &more).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let problem = text(&output.stderr);
    assert!(problem.contains("is of another recipe"), "{problem}");

    let late = train(
        &data,
        &folder.path().join("late"),
        &["--steps", "1", "--quantize"],
    )
    .output()
    .unwrap();
    assert!(late.status.success());
    let warning = text(&late.stderr);
    assert!(
        warning.contains("250000 is beyond the last step"),
        "{warning}"
    );
    let alone = train(&data, &out, &["--quant-delay", "3"])
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(2));
}

/// Names of all files in a run's folder of checkpoints.
fn checkpoints(out: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(out.join("checkpoints"));
    let entries = entries.into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The newest complete checkpoint.
fn newest(out: &Path) -> Option<String> {
    let mut names = checkpoints(out).into_iter();
    names.rfind(|name| name.starts_with("step-"))
}

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

/// The final weights, and the tensors of the last checkpoint. The checkpoint's header is left out,
/// because its entries have no fixed order.
fn results(out: &Path) -> (Vec<u8>, Vec<u8>) {
    let last = newest(out).unwrap();
    let state = std::fs::read(out.join("checkpoints").join(last)).unwrap();
    let header = u64::from_le_bytes(state[..8].try_into().unwrap()) as usize;
    let weights = std::fs::read(out.join("model.safetensors")).unwrap();
    (weights, state[8 + header..].to_vec())
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

#[test]
fn broken_photos_are_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    std::fs::write(data.join("train/dark/05.png"), "no photo").unwrap();
    let run = |name: &str, share: &str| {
        let out = folder.path().join(name);
        train(&data, &out, &["--epochs", "1", "--max-skipped", share])
            .output()
            .unwrap()
    };
    let tolerant = run("tolerant", "0.1");
    let said = text(&tolerant.stderr);
    assert!(tolerant.status.success(), "{said}");
    assert!(
        said.contains("05.png") && said.contains("1 photos could not be used"),
        "{said}"
    );
    let strict = run("strict", "0.01");
    assert_eq!(strict.status.code(), Some(1), "{}", text(&strict.stderr));
}

#[test]
fn divergence_stops_with_step_and_photos() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let arguments = [
        "--steps",
        "40",
        "--save-every",
        "1",
        "--learning-rate",
        "1e30",
    ];
    let output = train(&data, &out, &[&arguments[..], &["--warm-up", "0"]].concat())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("is not finite") && said.contains(".png"),
        "{said}"
    );
}

#[test]
fn wrong_usage_is_two() {
    let output = Command::new(env!("CARGO_BIN_EXE_mobilenet"))
        .args([
            "train", "--data", "x", "--out", "y", "--epochs", "1", "--steps", "2",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
