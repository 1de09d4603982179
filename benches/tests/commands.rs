//! Runs the commands of this package and checks their output and exit codes.

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobilenet-benches"));
    command.args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output as JSON, line by line.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn bench_checks_that_engines_agree_and_times_them_in_turn() {
    let output = run(&[
        "bench",
        "--width",
        "0.25",
        "--resolution",
        "64",
        "--repeat",
        "3",
        "--engine",
        "plan",
        "--engine",
        "eager",
        "--engine",
        "candle",
        "--json",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    for engine in ["Plan", "Eager"] {
        let agreed = format!("{engine} and candle agree to");
        assert!(stderr(&output).contains(&agreed), "{}", stderr(&output));
    }
    let lines = lines(&output);
    let engines: Vec<&Value> = lines.iter().map(|line| &line["engine"]).collect();
    assert_eq!(engines, ["plan", "eager", "candle"]);
    for line in lines {
        assert_eq!(line["runs_ms"].as_array().unwrap().len(), 3);
        assert!(line["min_ms"].as_f64().unwrap() <= line["median_ms"].as_f64().unwrap());
        assert_eq!((&line["batch"], &line["threads"]), (&1.into(), &1.into()));
    }
}

#[test]
fn bench_times_every_type_of_weights() {
    let network = ["--width", "0.25", "--resolution", "32", "--repeat", "2"];
    let types = ["f32", "f16", "bf16"].map(|name| ["--weight-type", name]);
    let arguments = [&["bench", "--json"][..], &network, types.as_flattened()].concat();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let found: Vec<Value> = (lines(&output).into_iter())
        .map(|line| line["weight_type"].clone())
        .collect();
    assert_eq!(found, ["f32", "f16", "bf16"]);
    let eager = run(&["bench", "--engine", "eager", "--weight-type", "f16"]);
    assert_eq!(eager.status.code(), Some(1));
    assert!(stderr(&eager).contains("--weight-type needs --engine plan"));
}

/// Every printed figure of the paper agrees with ours or has an explanation; otherwise this fails.
#[test]
fn the_page_of_the_paper_is_what_the_code_gives() {
    let output = run(&["paper", "--check"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for arguments in [
        &["bench", "--threads", "0"][..],
        &["report", "--part", "x"],
        &["paper", "--check", "--quick"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
