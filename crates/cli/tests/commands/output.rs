//! Tests of the program's output, files and exit codes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{
    Folder, Predict, golden, json, lines, program, read_npy, run, stderr, stdout, write_npy,
};
use image::RgbImage;
use serde_json::Value;

fn photo(path: &str) {
    RgbImage::from_fn(120, 90, |x, y| [x as u8, y as u8, 77].into())
        .save(path)
        .unwrap();
}

#[test]
fn classify_reports_each_photo_and_goes_on_after_a_bad_one() {
    let folder = Folder::new();
    let (good, bad) = (folder.path("good.png"), folder.path("bad.jpg"));
    photo(&good);
    std::fs::write(&bad, "no photo").unwrap();
    let weights = golden("hugging_face_tiny");
    let output = run(&[
        "classify",
        &bad,
        &good,
        "--weights",
        &weights,
        "--top",
        "3",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["photo"], bad.as_str());
    assert!(lines[0]["error"].as_str().unwrap().contains("not a JPEG"));
    assert_eq!(lines[1]["photo"], good.as_str());
    assert!(lines[1]["milliseconds"].as_f64().unwrap() > 0.0);
    let predictions = lines[1]["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    let probability = |i: usize| predictions[i]["probability"].as_f64().unwrap();
    assert!(probability(0) >= probability(1) && probability(1) >= probability(2));
    assert!(predictions[0]["class"].as_u64().unwrap() < 10);

    let output = run(&[
        "classify",
        &good,
        "--weights",
        &weights,
        "--preprocess",
        "slim",
        "--threads",
        "1",
    ]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("good.png") && stdout(&output).contains(" %  class "));
}

/// `predict` computes the same logits as transformers (golden files).
#[test]
fn predict_gives_another_frameworks_numbers() {
    let folder = Folder::new();
    // The tensor "input" of formula.py, `[2, 3, 96, 96]`.
    let seed = "input"
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    let values: Vec<f32> = (1..=2 * 3 * 96 * 96u64)
        .map(|i| {
            let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            ((z >> 40) as f64 / f64::from(1 << 23) - 1.0) as f32
        })
        .collect();
    let expected = {
        let bytes = std::fs::read(golden("timm_tiny_96x96.safetensors")).unwrap();
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let range = &json["logits"]["data_offsets"];
        let at = |i: usize| 8 + header + range[i].as_u64().unwrap() as usize;
        let (chunks, []) = bytes[at(0)..at(1)].as_chunks::<4>() else {
            panic!()
        };
        chunks
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk))
            .collect::<Vec<f32>>()
    };
    let nhwc: Vec<f32> = (0..2 * 96 * 96 * 3)
        .map(|i| {
            let (c, pixel, b) = (i % 3, i / 3 % (96 * 96), i / (3 * 96 * 96));
            values[(b * 3 + c) * 96 * 96 + pixel]
        })
        .collect();
    let predict = Predict::new(&folder, &golden("timm_tiny.pth"));
    for (layout, shape, values) in [
        ("nchw", [2, 3, 96, 96], &values),
        ("nhwc", [2, 96, 96, 3], &nhwc),
    ] {
        write_npy(&predict.input, &shape, values);
        predict.succeed(&["--layout", layout]);
        let (shape, logits) = read_npy(&predict.output);
        assert_eq!(shape, [2, 10]);
        for (found, expected) in logits.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let endpoint = "--endpoint Conv2d_13_pointwise --output-stride 16 --layout";
        let options: Vec<&str> = endpoint.split(' ').chain([layout]).collect();
        predict.succeed(&options);
        let map = if layout == "nhwc" {
            [2, 6, 6, 32]
        } else {
            [2, 32, 6, 6]
        };
        assert_eq!(read_npy(&predict.output).0, map);
        std::fs::remove_file(&predict.output).unwrap();
        let message = predict.fail(&["--layout", layout, "--endpoint", "Mixed_5a"]);
        assert!(message.contains("no endpoint `Mixed_5a`"), "{message}");
    }
}

#[test]
fn predict_names_what_is_wrong_with_its_input() {
    let folder = Folder::new();
    let predict = Predict::new(&folder, &golden("timm_tiny.pth"));
    let input = &predict.input;
    let error = || predict.fail(&[]);
    assert!(error().contains("in.npy"));
    std::fs::write(input, "no array").unwrap();
    assert!(error().contains("in.npy"));
    write_npy(input, &[1, 32, 32, 5], &vec![0.0; 5 * 32 * 32]);
    assert!(error().contains("expected 3 input channels, found 5"));
    write_npy(input, &[32, 32, 3], &vec![0.0; 3 * 32 * 32]);
    assert!(error().contains("rank, expected 4, was: 3"));
    // A header that declares far more values than the file has.
    let mut bytes = std::fs::read(input).unwrap();
    let shape = b"32, 32, 3";
    let at = bytes
        .windows(shape.len())
        .position(|window| window == shape)
        .unwrap();
    bytes[at..at + shape.len()].copy_from_slice(b"99999, 99");
    std::fs::write(input, bytes).unwrap();
    assert!(error().contains("needs more than the file's"));
}

#[test]
fn inspect_counts_as_the_reference_does() {
    let summary = &json(&[
        "inspect",
        "--width",
        "0.75",
        "--resolution",
        "192",
        "--classes",
        "1001",
        "--json",
    ])[0];
    assert_eq!(summary["multiply_adds"], 239_274_240);
    assert_eq!(summary["parameters"], 2_602_745);
    assert_eq!(summary["layers"].as_array().unwrap().len(), 28);
    let text = stdout(&run(&["inspect", "--output-stride", "16"]));
    assert!(text.contains("body 800,959,488"), "{text}");
    let of_file = stdout(&run(&["inspect", &golden("keras_tiny.safetensors")]));
    assert!(of_file.contains("Conv2d_13_pointwise"), "{of_file}");
}

#[test]
fn inspect_knows_the_networks_of_other_papers() {
    let summary = &json(&["inspect", "--network", "squeezenet1_1", "--json"])[0];
    assert_eq!(summary["multiply_adds"], 349_151_936);
    assert_eq!(summary["parameters"], 1_235_496);
    assert_eq!(summary["layers"][0]["kind"], "conv 3x3");
    let text = stdout(&run(&["inspect", "--network", "shallow_mobilenet"]));
    assert!(
        text.contains("multiply-adds 307,323,392 (body 306,299,392)"),
        "{text}"
    );
    let small = run(&["inspect", "--network", "xception", "--resolution", "4"]);
    assert_eq!(small.status.code(), Some(1));
    assert!(
        stderr(&small).contains("block1_conv2"),
        "{}",
        stderr(&small)
    );
    for wrong in [
        &["--network", "resnet50"][..],
        &["--network", "vgg16", "--width", "0.5"],
    ] {
        let output = run(&[&["inspect"][..], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn weights_lists_what_is_known() {
    let folder = Folder::new();
    let output = program(&["weights", "--list", "--json"])
        .env("MOBILENET_CACHE", folder.path("cache"))
        .output()
        .unwrap();
    let lines = lines(&output);
    assert_eq!(lines[0]["name"], "mobilenet_v1_1.0_224");
    assert!(lines.iter().all(|line| line["cached"] == false));
    for task in ["classification", "detection"] {
        assert!(lines.iter().any(|line| line["task"] == task), "{task}");
    }
    let unknown = run(&["weights", "mobilenet_v9"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("mobilenet_v1_0.75_192"));
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for arguments in [
        &["classify"][..],
        &["frobnicate"],
        &["inspect", "--width", "0"],
        &["inspect", "--width", "nan"],
        &[
            "predict",
            "--weights",
            "w",
            "--input",
            "i",
            "--output",
            "o",
            "--output-stride",
            "12",
        ],
        &["classify", "photo", "--threads", "0"],
        &["weights", "name", "--list"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = program(&["inspect"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        stderr(&output)
    );
}

/// Gives hostile files to the program, whose address space is limited to 256 MiB. The process
/// itself takes about 100 MiB, so a file can make it allocate only a little.
#[cfg(target_os = "linux")]
#[test]
fn hostile_files_stay_within_memory_and_time() {
    let folder = Folder::new();
    let limited = |arguments: &[&str]| {
        let start = std::time::Instant::now();
        let output = Command::new("sh")
            .args([
                "-c",
                "ulimit -v 262144; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_mobilenet"),
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(start.elapsed().as_secs() < 5);
        stderr(&output)
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = PathBuf::from(folder.path(name));
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let convert = |name: &str, bytes: &[u8]| {
        limited(&[
            "convert",
            &write(name, bytes),
            &folder.path("out.safetensors"),
        ])
    };
    // A header of 4 EiB, a tensor of 4 EiB, a graph whose constant has a shape of 4 GiB.
    assert!(
        convert("a", &[&[255u8; 8][..], b"{}"].concat())
            .contains("none of the formats safetensors")
    );
    let header = br#"{"t":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}"#;
    let lying = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    assert!(convert("b", &lying).contains("safetensors header"));
    let tensor = b"\x08\x01\x12\x08\x12\x06\x08\x80\x80\x80\x80\x04\x2a\x04\0\0\x80\x3f";
    let value = [&[0x42, tensor.len() as u8][..], tensor].concat();
    let entry = [b"\x0a\x05value\x12", &[value.len() as u8][..], &value].concat();
    let node = [
        b"\x0a\x01w\x12\x05Const\x2a",
        &[entry.len() as u8][..],
        &entry,
    ]
    .concat();
    let graph = [&[0x0a, node.len() as u8][..], &node].concat();
    let error = convert("c", &graph);
    assert!(
        error.contains("w needs 4294967296 bytes, more than"),
        "{error}"
    );
    // A photo whose header declares 50,000 x 50,000 pixels.
    let good = folder.path("photo.bmp");
    photo(&good);
    let mut bmp = std::fs::read(&good).unwrap();
    bmp[18..22].copy_from_slice(&50_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&50_000u32.to_le_bytes());
    let huge = write("huge.bmp", &bmp);
    let weights = golden("hugging_face_tiny");
    let error = limited(&["classify", &huge, "--weights", &weights]);
    assert!(error.contains("huge.bmp: 50000x50000 pixels"), "{error}");
    let text = write("text.jpg", b"Dear diary");
    assert!(limited(&["classify", &text, "--weights", &weights]).contains("text.jpg: not a JPEG"));
}
