//! Runs the commands of this package and checks their output and exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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

/// The loop of `report --part busy` must not outlive the report, even if that is killed.
#[test]
fn a_process_that_takes_a_core_ends_when_nobody_holds_its_input() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    command
        .arg("spin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "\"spinning\"\n");
    assert_eq!(process.try_wait().unwrap(), None);
    drop(process.stdin.take());
    let start = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(20) {
            process.kill().unwrap();
            panic!("it still runs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn report_makes_pages_of_each_machine_and_notices_stale_ones() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("zen3-avx2");
    std::fs::create_dir(&folder).unwrap();
    let raw = r#"{"machine": {"date": "2026-01-02", "commit": "abc1234", "processor": "AMD", "cores": 2,
        "isa": "avx2", "peak_gflops": 100.0}, "not_run": [], "rows": [{"engine": "plan", "version": "1",
        "width": 0.25, "resolution": 128, "batch": 1, "threads": 2, "cores_taken": 1,
        "runs_ms": [1.0, 3.0]}]}"#;
    std::fs::write(folder.join("busy.json"), raw).unwrap();
    let report = |flag| run(&["report", "--out", out.path().to_str().unwrap(), flag]);
    assert_eq!(report("--check").status.code(), Some(1));
    assert!(report("--redraw").status.success());
    let output = report("--check");
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert!(read("README.md").contains("[zen3-avx2](zen3-avx2/README.md)"));
    assert!(read("zen3-avx2/README.md").contains("| [busy](busy.md) | 2026-01-02 | abc1234 | 2 |"));
    assert!(read("zen3-avx2/busy.md").contains("| 2.00 | 3.00 |"));
    let newer = raw.replace("3.0]", "5.0]");
    std::fs::write(folder.join("busy.json"), newer).unwrap();
    let output = report("--check");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("zen3-avx2/busy.md"),
        "{}",
        stderr(&output)
    );
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
