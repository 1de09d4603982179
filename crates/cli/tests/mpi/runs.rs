//! Runs of the program under mpirun, on made photos, each of which must end in bounded time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::write_photo;

/// Time in which whatever happens must end.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mobilenet");

/// A folder with photos, and the runs on them.
pub(crate) struct Runs {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) arguments: Vec<String>,
}

/// The end of a run.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Runs {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (part, photos) in [("train", 40), ("test", 3)] {
            for class in 0..2 {
                for photo in 0..photos {
                    let name = format!("photos/{part}/{class}/{photo}.png");
                    write_photo(
                        folder.path().join(name),
                        1000 * class + 100 * u32::from(part == "test") + photo,
                    );
                }
            }
        }
        let arguments = arguments.iter().map(|text| text.to_string()).collect();
        Self { folder, arguments }
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program's arguments for a run that goes on where an earlier one ended.
    pub(crate) fn train(&self, out: &str, photos: &str) -> Vec<String> {
        let path = |name: &str| self.out(name).display().to_string();
        let (data, out) = (path(photos), path(out));
        let mut all: Vec<String> = ["train", "--data", &data, "--out", &out, "--width", "0.25"]
            .map(String::from)
            .to_vec();
        let sizes = ["--batch-size", "8", "--resolution", "32", "--resume"];
        all.extend(sizes.map(String::from));
        all.extend(["--max-skipped", "0.5"].map(String::from));
        all.extend(self.arguments.iter().cloned());
        all
    }

    /// The bytes of a run by one process.
    pub(crate) fn alone(&self, out: &str) -> Vec<u8> {
        let output = Command::new(PROGRAM)
            .args(self.train(out, "photos"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        self.model(out)
    }

    pub(crate) fn model(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.out(out).join("model.safetensors")).unwrap()
    }

    pub(crate) fn start(&self, ranks: usize, out: &str) -> Child {
        let mut all = vec!["-n".to_string(), ranks.to_string(), PROGRAM.to_string()];
        all.extend(self.train(out, "photos"));
        self.launch(&all)
    }

    /// The same on hosts, a rank on each.
    pub(crate) fn start_on_hosts(&self, hosts: &str, out: &str) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/hosts");
        let said = std::fs::File::create(self.out("said")).unwrap();
        let mut command = Command::new(script);
        command.args([hosts, "-", "-n", hosts, PROGRAM]);
        command.args(self.train(out, "photos"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap()
    }

    /// Starts mpirun, whose words go to a file.
    pub(crate) fn launch(&self, arguments: &[String]) -> Child {
        let said = std::fs::File::create(self.out("said")).unwrap();
        mpirun()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap()
    }

    /// Waits for the end of all processes.
    pub(crate) fn end(&self, mut child: Child) -> Ended {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            let late = begin.elapsed() > LIMIT;
            if late {
                let _ = child.kill();
            }
            assert!(!late, "still runs: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        while !self.processes().is_empty() {
            assert!(begin.elapsed() < LIMIT, "left: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(10));
        }
        let (code, said) = (status.code(), self.said());
        Ended { code, said }
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.out("said")).unwrap()).into_owned()
    }

    /// Ranks and process ids of the program's processes on these photos.
    pub(crate) fn processes(&self) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        let photos = self.out("photos").display().to_string();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let read = |name| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            let rank = environment
                .split('\0')
                .find_map(|one| one.strip_prefix("OMPI_COMM_WORLD_RANK=")?.parse().ok());
            if let Some(rank) = rank
                && command.starts_with(PROGRAM)
                && command.contains(&photos)
            {
                found.push((rank, pid));
            }
        }
        found
    }

    /// The process of a rank, once it is there.
    pub(crate) fn process(&self, rank: usize) -> u32 {
        let begin = Instant::now();
        loop {
            let processes = self.processes();
            if let Some((_, pid)) = processes.iter().find(|(of, _)| *of == rank) {
                return *pid;
            }
            assert!(begin.elapsed() < LIMIT, "no rank {rank}: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a run has a newer checkpoint than before.
    pub(crate) fn newer_checkpoint(&self, out: &str, child: &mut Child, before: Option<String>) {
        let begin = Instant::now();
        while newest(&self.out(out)) == before && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < LIMIT, "no checkpoint: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a training has logged a step.
    pub(crate) fn first_record(&self, out: &str) {
        let begin = Instant::now();
        let log = self.out(out).join("log.jsonl");
        while std::fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
            assert!(begin.elapsed() < LIMIT, "no step: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

pub(crate) fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args(["--oversubscribe", "--bind-to", "none"]);
    command
}

pub(crate) fn newest(out: &Path) -> Option<String> {
    let entries = std::fs::read_dir(out.join("checkpoints")).into_iter();
    let names = entries.flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("step-")).max()
}
