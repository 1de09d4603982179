//! Tests of the commands `train` and `eval`: photos in folders, other networks, integers, broken
//! photos, divergence.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::training_runs::{photos, results, text, train};
use crate::support::lines;

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
