//! One engine, running in its own process, and how engines take turns.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use mobilenet_benches::min_and_median;
use serde::Deserialize;

use super::environment::{Environment, Peer, PeerKind};
use super::hold::hold;
use super::network::Network;
use super::raw::rounded;
use super::results::{Measurement, Scenario};

/// A process that has loaded the network and waits for its turn.
pub(super) struct Engine {
    pub(super) name: String,
    pub(super) logits: Vec<f32>,
    pub(super) version: String,
    /// From the file to the first logits.
    pub(super) load_ms: f64,
    runs_ms: Vec<f64>,
    process: Process,
}

#[derive(Deserialize)]
struct Ready {
    version: String,
    load_ms: f64,
    logits: Vec<f32>,
}

#[derive(Deserialize)]
struct End {
    peak_rss_mb: f64,
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that the process has already ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line)
            .with_context(|| "the process ended without an answer".to_string())
    }

    fn runs(&mut self, count: usize) -> Result<Vec<f64>> {
        self.ask(&format!("run {count}"))
    }

    fn ask(&mut self, request: &str) -> Result<Vec<f64>> {
        if let Some(input) = &mut self.input {
            writeln!(input, "{request}")?;
            input.flush()?;
        }
        self.answer()
    }

    /// Starts a program that speaks to us by standard input and output.
    fn start(name: &str, mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }
}

/// A process that takes a core, until this is dropped or our own process ends in whatever way.
pub(super) struct Load(#[expect(dead_code, reason = "ends when it is dropped")] Process);

impl Load {
    /// Returns when it runs.
    pub(super) fn start(environment: &Environment) -> Result<Self> {
        let mut command = Command::new(environment.ours());
        command.arg("spin");
        let mut process = Process::start("spin", command)?;
        let _: String = process.answer()?;
        Ok(Self(process))
    }
}

/// A script in the Python that has the packages of a peer.
fn python(environment: &Environment, peer: &str, script: &str, threads: &str) -> Result<Command> {
    let mut command = Command::new(environment.python(peer)?);
    command.arg(environment.script(script));
    command.env("OMP_NUM_THREADS", threads);
    Ok(command)
}

impl Engine {
    pub(super) fn start(
        environment: &Environment,
        peer: Peer,
        network: &Network,
        scenario: Scenario,
    ) -> Result<Self> {
        if peer.name == "tract" && scenario.threads > 1 {
            bail!("it computes on one thread");
        }
        let folder = network.folder();
        let (batch, threads) = (scenario.batch.to_string(), scenario.threads.to_string());
        let command = match peer.kind {
            PeerKind::Ours => {
                let mut command = Command::new(environment.ours());
                command.arg(peer.name).arg(folder).args([&batch, &threads]);
                command
                    .env("CANDLE_NUM_THREADS", &threads)
                    .env("RAYON_NUM_THREADS", &threads);
                command
            }
            PeerKind::Python => {
                let mut command = python(environment, peer.name, "peer.py", &threads)?;
                command.arg(peer.name).arg(folder).args([&batch, &threads]);
                command
            }
            PeerKind::Rust => {
                let (model, images) = network.onnx(environment, scenario.batch)?;
                let mut command = Command::new(environment.rust()?);
                let side = scenario.resolution.to_string();
                command
                    .arg(peer.name)
                    .arg(model)
                    .arg(images)
                    .args([&batch, &side, &side, &threads]);
                command.env("RTEN_NUM_THREADS", &threads);
                command
            }
        };
        Self::spawn(environment, peer.name, command)
    }

    /// Starts PyTorch's training step, or ours.
    pub(super) fn start_training(
        environment: &Environment,
        name: &str,
        scenario: Scenario,
    ) -> Result<Self> {
        let Scenario {
            width,
            resolution,
            batch,
            threads,
        } = scenario;
        let threads = threads.to_string();
        let command = match name {
            "pytorch" => {
                let mut command = python(environment, name, "train.py", &threads)?;
                command
                    .arg(format!("--width={width}"))
                    .arg(format!("--resolution={resolution}"))
                    .arg(format!("--batch={batch}"))
                    .arg(format!("--threads={threads}"));
                command
            }
            _ => {
                let mut command = Command::new(environment.ours());
                command
                    .args([name, &width.to_string(), &resolution.to_string()])
                    .args([&batch.to_string(), &threads]);
                command
            }
        };
        Self::spawn(environment, name, command)
    }

    /// Starts one of the engines on a network of integers.
    pub(super) fn start_integers(
        environment: &Environment,
        name: &str,
        folder: &Path,
        [threads, side]: [usize; 2],
    ) -> Result<Self> {
        let count = threads.to_string();
        let venv = name.split('-').next().unwrap_or(name);
        let command = match name {
            "integers" => {
                let mut command = Command::new(environment.ours());
                command.arg(name).arg(folder).arg(&count);
                command
            }
            "tract" if threads > 1 => bail!("it computes on one thread"),
            "tract" => {
                let side = side.to_string();
                let mut command = Command::new(environment.rust()?);
                command
                    .arg(name)
                    .arg(folder.join("model.onnx"))
                    .arg(folder.join("image.f32"))
                    .args(["1", &side, &side, &count]);
                command
            }
            _ => {
                let mut command = python(environment, venv, "integer_peer.py", &count)?;
                command.arg(name).arg(folder).arg(&count);
                command
            }
        };
        Self::spawn(environment, name, command)
    }

    /// Starts one of the engines on a detector: in `f32` the network of a folder, or `model.tflite` there.
    pub(super) fn start_detector(
        environment: &Environment,
        [kind, name]: [&str; 2],
        folder: &Path,
        threads: usize,
    ) -> Result<Self> {
        let threads = threads.to_string();
        let is_ours = ["plan", "integers"].contains(&name);
        let command = match (is_ours, kind) {
            (true, _) => {
                let mut command = Command::new(environment.ours());
                command.args(["detector", kind]).arg(folder).arg(&threads);
                command
            }
            (false, "f32") => {
                let mut command = python(environment, name, "peer.py", &threads)?;
                command.arg(name).arg(folder).args(["1", &threads]);
                command
            }
            (false, _) => {
                let mut command = python(environment, name, "integer_peer.py", &threads)?;
                command
                    .arg(format!("{name}-detector"))
                    .arg(folder)
                    .arg(&threads);
                command
            }
        };
        Self::spawn(environment, name, command)
    }

    fn spawn(environment: &Environment, name: &str, mut command: Command) -> Result<Self> {
        hold(&mut command, environment.hold())?;
        let mut process = Process::start(name, command)?;
        let ready: Ready = process.answer()?;
        Ok(Self {
            name: name.to_string(),
            logits: ready.logits,
            version: ready.version,
            load_ms: ready.load_ms,
            runs_ms: Vec::new(),
            process,
        })
    }

    /// One run that is not counted, then `runs` that are, or one if a run takes more than
    /// `slow_ms`.
    pub(super) fn turn(&mut self, runs: usize, slow_ms: f64) -> Result<()> {
        let first = self.process.runs(1)?;
        let slow = first.first().is_some_and(|&ms| ms > slow_ms);
        let counted = self.process.runs(if slow { 1 } else { runs })?;
        self.runs_ms.extend(counted);
        // Give its threads time to fall asleep before the next engine runs.
        std::thread::sleep(std::time::Duration::from_millis(5));
        Ok(())
    }

    /// Runs with a pause of some milliseconds before each, so that its threads may fall asleep.
    pub(super) fn paused_runs(&mut self, runs: usize, pause_ms: u64) -> Result<Vec<f64>> {
        self.process.ask(&format!("run {runs} {pause_ms}"))
    }

    pub(super) fn finish(mut self, scenario: Scenario, difference: f32) -> Result<Measurement> {
        self.process.input = None;
        let end: End = self.process.answer()?;
        let (min_ms, median_ms) = min_and_median(&self.runs_ms);
        Ok(Measurement {
            engine: self.name,
            version: self.version,
            scenario,
            min_ms: rounded(min_ms),
            median_ms: rounded(median_ms),
            load_ms: rounded(self.load_ms),
            peak_rss_mb: rounded(end.peak_rss_mb),
            difference,
            runs_ms: self.runs_ms.into_iter().map(rounded).collect(),
        })
    }
}

/// How often engines take turns: a third as often in the quick form.
pub(super) fn turns(full: usize, quick: bool) -> usize {
    if quick { full.div_ceil(3) } else { full }
}

/// All engines in turn, each turn beginning with another one, so that no engine always runs after
/// the same one.
pub(super) fn in_turn(
    engines: &mut [Engine],
    turns: usize,
    mut turn: impl FnMut(&mut Engine) -> Result<()>,
) -> Result<()> {
    for first in 0..turns {
        let count = engines.len().max(1);
        let (before, after) = engines.split_at_mut(first % count);
        for engine in after.iter_mut().chain(before) {
            turn(engine)?;
        }
    }
    Ok(())
}
