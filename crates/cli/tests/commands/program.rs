//! The program itself: its version, completions, manual pages, and hints for misspelt words.

use crate::support::{Folder, error, run, stderr, stdout};

#[test]
fn the_version_names_the_instruction_set() {
    let output = crate::support::program(&["--version"])
        .env("MOBILENET_ISA", "scalar")
        .output()
        .unwrap();
    let version = stdout(&output);
    assert!(version.starts_with("mobilenet "), "{version}");
    assert!(version.trim_end().ends_with("scalar)"), "{version}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("classify"), "{shell}");
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = Folder::new();
    let output = run(&["manual", &folder.path("man1")]);
    assert!(output.status.success(), "{}", stderr(&output));
    for command in ["mobilenet", "mobilenet-classify", "mobilenet-train"] {
        let page = std::fs::read_to_string(folder.path(&format!("man1/{command}.1"))).unwrap();
        assert!(page.contains(".TH"), "{command}");
    }
}

#[test]
fn misspelt_words_get_a_hint() {
    let message = error(&["inspect", "mobilenet_v1_1.0_242"]);
    assert!(
        message.contains("did you mean mobilenet_v1_1.0_224?"),
        "{message}"
    );
    assert_eq!(run(&["clasify", "cat.jpg"]).status.code(), Some(2));
    let message = error(&["clasify", "cat.jpg"]);
    assert!(message.contains("'classify'"), "{message}");
}

#[test]
fn weights_are_not_written_under_another_formats_name() {
    let input = crate::support::golden("slim_tiny.pb");
    let folder = Folder::new();
    for name in ["x.pb", "x.npz", "x.h5", "x"] {
        let path = folder.path(name);
        let output = run(&["convert", &input, &path]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let message = stderr(&output);
        assert!(message.contains(".safetensors"), "{message}");
        assert!(!std::path::Path::new(&path).exists());
    }
}

#[test]
fn bench_measures_the_plan() {
    let network = ["--width", "0.25", "--resolution", "32x64", "--repeat", "3"];
    let arguments = [&["bench", "--json", "--pause", "1"][..], &network].concat();
    let line = &crate::support::json(&arguments)[0];
    assert_eq!(line["engine"], "plan");
    assert_eq!(line["resolution"], "32x64");
    assert_eq!(line["runs_ms"].as_array().unwrap().len(), 3);
    assert!(line["min_ms"].as_f64().unwrap() <= line["median_ms"].as_f64().unwrap());
    let message = error(&["bench", "--engine", "candle"]);
    assert!(message.contains("cargo xtask bench"), "{message}");
    assert_eq!(
        run(&["bench", "--resolution", "0x9"]).status.code(),
        Some(2)
    );
}

#[test]
fn photos_are_classified_at_any_size_and_explained() {
    let folder = Folder::new();
    let weights = folder.path("tiny.safetensors");
    let input = crate::support::golden("slim_tiny.pb");
    assert!(run(&["convert", &input, &weights]).status.success());
    let photo = folder.path("a.png");
    crate::support::made_photo(1, 90, 60).save(&photo).unwrap();
    for size in ["224", "320", "96x160"] {
        let line = &crate::support::json(&[
            "classify",
            "-w",
            &weights,
            "--resolution",
            size,
            "-k",
            "2",
            "-j",
            &photo,
        ])[0];
        assert_eq!(line["predictions"].as_array().unwrap().len(), 2, "{size}");
    }
    assert_eq!(
        run(&["classify", "-w", &weights, "--resolution", "96x", &photo])
            .status
            .code(),
        Some(2)
    );
    let picture = folder.path("why.png");
    let output = run(&["classify", "-w", &weights, "--explain", &picture, &photo]);
    assert!(output.status.success(), "{}", stderr(&output));
    let drawn = image::open(&picture).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (90, 60));
    // Several photos go to a folder, also those of the same name.
    let pictures = folder.path("pictures");
    let output = run(&[
        "classify",
        "-w",
        &weights,
        "--explain",
        &pictures,
        &photo,
        &photo,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let names = std::fs::read_dir(&pictures).unwrap().count();
    assert_eq!(names, 2);
}
