//! Trainings by several processes under mpirun: the bytes of one process, whatever their number and
//! whatever ends them; failures end all in bounded time and name the rank. `.ci/mpi` runs these.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{json, write_photo};

/// Time in which whatever happens must end.
const LIMIT: Duration = Duration::from_secs(300);

const PROGRAM: &str = env!("CARGO_BIN_EXE_mobilenet");

/// A folder with photos, and the runs on them.
struct Runs {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

/// The end of a run.
struct Ended {
    code: Option<i32>,
    said: String,
}

impl Runs {
    fn new(arguments: &[&str]) -> Self {
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

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program's arguments for a run that goes on where an earlier one ended.
    fn train(&self, out: &str, photos: &str) -> Vec<String> {
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
    fn alone(&self, out: &str) -> Vec<u8> {
        let output = Command::new(PROGRAM)
            .args(self.train(out, "photos"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        self.model(out)
    }

    fn model(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.out(out).join("model.safetensors")).unwrap()
    }

    fn start(&self, ranks: usize, out: &str) -> Child {
        let mut all = vec!["-n".to_string(), ranks.to_string(), PROGRAM.to_string()];
        all.extend(self.train(out, "photos"));
        self.launch(&all)
    }

    /// The same on hosts, a rank on each.
    fn start_on_hosts(&self, hosts: &str, out: &str) -> Child {
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
    fn launch(&self, arguments: &[String]) -> Child {
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
    fn end(&self, mut child: Child) -> Ended {
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

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.out("said")).unwrap()).into_owned()
    }

    /// Ranks and process ids of the program's processes on these photos.
    fn processes(&self) -> Vec<(usize, u32)> {
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
    fn process(&self, rank: usize) -> u32 {
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
    fn newer_checkpoint(&self, out: &str, child: &mut Child, before: Option<String>) {
        let begin = Instant::now();
        while newest(&self.out(out)) == before && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < LIMIT, "no checkpoint: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a training has logged a step.
    fn first_record(&self, out: &str) {
        let begin = Instant::now();
        let log = self.out(out).join("log.jsonl");
        while std::fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
            assert!(begin.elapsed() < LIMIT, "no step: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args(["--oversubscribe", "--bind-to", "none"]);
    command
}

fn newest(out: &Path) -> Option<String> {
    let entries = std::fs::read_dir(out.join("checkpoints")).into_iter();
    let names = entries.flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("step-")).max()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn any_number_of_processes_writes_the_same_file() {
    let short = ["--steps", "10", "--log-every", "5"];
    for (shards, all) in [("4", &[2, 4][..]), ("8", &[2, 4, 8])] {
        let runs = Runs::new(&[&short[..], &["--shards", shards]].concat());
        let expected = runs.alone("one");
        for &ranks in all {
            let out = format!("of {ranks}");
            let ended = runs.end(runs.start(ranks, &out));
            assert_eq!(ended.code, Some(0), "{}", ended.said);
            assert!(
                runs.model(&out) == expected,
                "{shards} shards, {ranks} ranks"
            );
        }
    }
}

/// Not by the way messages take, nor by the algorithms that Open MPI would choose for sums.
#[test]
fn no_network_and_no_algorithm_changes_a_bit() {
    let runs = Runs::new(&["--steps", "10", "--log-every", "5", "--shards", "4"]);
    let expected = runs.alone("one");
    let forced = |algorithm: &'static str| {
        let dynamic = ["coll_tuned_use_dynamic_rules", "1"];
        [&dynamic[..], &["coll_tuned_allreduce_algorithm", algorithm]].concat()
    };
    for (name, parameters) in [
        ("tcp", vec!["btl", "tcp,self"]),
        ("basic linear", forced("1")),
        ("ring", forced("4")),
    ] {
        let mut all = vec!["-n".to_string(), "4".to_string()];
        for parameter in parameters.chunks(2) {
            all.push("--mca".to_string());
            all.extend(parameter.iter().map(|text| text.to_string()));
        }
        all.push(PROGRAM.to_string());
        all.extend(runs.train(name, "photos"));
        let ended = runs.end(runs.launch(&all));
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(runs.model(name) == expected, "{name}");
    }
}

/// Four namespaces of the network are hosts. One is killed, another loses its link.
#[test]
fn hosts_write_the_same_file() {
    let runs = Runs::new(&["--steps", "30", "--log-every", "1", "--shards", "4"]);
    let expected = runs.alone("one");
    for (hosts, out) in [("4", "four"), ("2", "two")] {
        let ended = runs.end(runs.start_on_hosts(hosts, out));
        if ended.code == Some(77) {
            println!("SKIPPED: hosts: no network namespaces here");
            return;
        }
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(runs.model(out) == expected, "{hosts} hosts");
    }
    let long = ["--steps", "100000", "--shards", "4", "--save-every", "20"];
    let runs = Runs::new(&long);
    for (out, harm) in [("killed", kill_host as fn(u32)), ("cut off", cut_off)] {
        let mut child = runs.start_on_hosts("4", out);
        runs.newer_checkpoint(out, &mut child, None);
        harm(runs.process(3));
        let ended = runs.end(child);
        assert_ne!(ended.code, Some(0), "{out}");
        // Open MPI says it in its own words, which depend on who notices it first: usually mpirun,
        // which names the host, or a process whose peer is gone.
        let words = ["10.77.0.4", "remote daemon", "daemons", "disconnected"];
        let said = words.iter().any(|part| ended.said.contains(part));
        assert!(said, "{out}: {}", ended.said);
    }
}

/// All processes in the network namespace of a process: the daemon and the program.
fn kill_host(pid: u32) {
    let host = namespace(pid).unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        if let Ok(pid) = pid
            && namespace(pid).is_some_and(|of| of == host)
        {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
        }
    }
}

fn namespace(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

fn cut_off(pid: u32) {
    let target = pid.to_string();
    let down = ["-t", &target, "-n", "ip", "link", "set", "eth0", "down"];
    assert!(
        Command::new("nsenter")
            .args(down)
            .status()
            .unwrap()
            .success()
    );
}

/// Rounded gradients: every rank has the same weights, which a checkpoint compares; a run that was
/// killed ends in the same bytes, if the number of ranks stays.
#[test]
fn rounded_gradients_train_alike() {
    let runs = Runs::new(&[
        "--steps",
        "24",
        "--shards",
        "4",
        "--save-every",
        "8",
        "--wire",
        "bf16",
    ]);
    let whole = runs.end(runs.start(2, "whole"));
    assert_eq!(whole.code, Some(0), "{}", whole.said);
    let mut child = runs.start(2, "broken");
    runs.newer_checkpoint("broken", &mut child, None);
    let _ = child.kill();
    runs.end(child);
    let ended = runs.end(runs.start(2, "broken"));
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(runs.model("broken") == runs.model("whole"));
    assert!(runs.alone("alone") != runs.model("whole"));
}

#[test]
fn servers_and_workers_train() {
    let steps = ["--steps", "20", "--log-every", "5", "--threads", "1"];
    let expected = Runs::new(&steps);
    let whole = expected.alone("whole");
    for (ranks, more) in [
        (3, &["--ps", "2"][..]),
        (4, &[]),
        (4, &["--replicas-to-aggregate", "2"]),
    ] {
        let async_ = ["--replicas", "async"];
        let runs = Runs {
            arguments: [&steps[..], &async_, more]
                .concat()
                .iter()
                .map(|text| text.to_string())
                .collect(),
            ..Runs::new(&[])
        };
        let ended = runs.end(runs.start(ranks, "out"));
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let log = std::fs::read_to_string(runs.out("out/log.jsonl")).unwrap();
        assert_eq!(log.matches("\"staleness\"").count(), 4, "{log}");
        // The photos are the same in every folder. One worker is one process.
        assert_eq!(runs.model("out") == whole, ranks == 3);
    }
}

#[test]
fn an_evaluation_by_parts_has_the_same_counts() {
    let runs = Runs::new(&["--steps", "4"]);
    runs.alone("one");
    let path = |name: &str| runs.out(name).display().to_string();
    let (weights, data) = (path("one/model.safetensors"), path("photos"));
    let eval = [
        "eval",
        "--json",
        "--batch-size",
        "3",
        "-w",
        &weights,
        "-d",
        &data,
    ];
    let expected = json(&eval).remove(0);
    let output = mpirun()
        .args(["-n", "3", PROGRAM])
        .args(eval)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let found = support::lines(&output);
    assert_eq!(found.len(), 1, "only one rank prints");
    for key in ["images", "accuracy", "recall_5"] {
        assert_eq!(found[0][key], expected[key], "{key}");
    }
}

/// Rank 0, the last rank and the launcher are killed, some while they start, some at any step, and
/// other numbers of ranks go on. `MOBILENET_TEST_KILLS=10` kills each of the three ten times.
#[test]
fn killed_runs_end_in_the_same_bytes() {
    let runs = Runs::new(&["--steps", "120", "--shards", "4", "--save-every", "4"]);
    let expected = runs.alone("whole");
    let wanted = std::env::var("MOBILENET_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let mut kills = [0; 3];
    let mut random = 1u64;
    let (mut number, mut ranks) = (0, [4, 2, 1].into_iter().cycle());
    while kills.iter().any(|kills| *kills < wanted) {
        number += 1;
        let out = format!("broken {number}");
        for ranks in ranks.by_ref().take(5) {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let milliseconds = random >> 33;
            let before = newest(&runs.out(&out));
            let mut child = runs.start(ranks, &out);
            let victim = (0..3).min_by_key(|victim| kills[*victim]).unwrap();
            if kills[victim] % 3 == 1 {
                std::thread::sleep(Duration::from_millis(milliseconds % 700));
            } else {
                runs.newer_checkpoint(&out, &mut child, before);
                std::thread::sleep(Duration::from_millis(milliseconds % 200));
            }
            let of_rank = |wanted| {
                let mut processes = runs.processes().into_iter();
                processes
                    .find(|(rank, _)| *rank == wanted)
                    .map(|(_, pid)| pid)
            };
            let pid = match victim {
                0 => of_rank(0),
                1 => of_rank(ranks - 1),
                _ => Some(child.id()),
            };
            let Some(pid) = pid.filter(|_| child.try_wait().unwrap().is_none()) else {
                // It has not begun, or has ended.
                runs.end(child);
                break;
            };
            // It may have ended in between.
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
            runs.end(child);
            kills[victim] += 1;
        }
        assert!(runs.alone(&out) == expected, "run {number}");
    }
    println!("{kills:?} kills of {number} runs");
}

#[test]
fn signals_to_the_launcher_save_first() {
    let arguments = ["--steps", "60", "--shards", "4", "--save-every", "100000"];
    let runs = Runs::new(&[&arguments[..], &["--log-every", "1"]].concat());
    let expected = runs.alone("whole");
    for name in ["USR1", "TERM"] {
        let mut child = runs.start(2, name);
        runs.first_record(name);
        assert!(child.try_wait().unwrap().is_none(), "{}", runs.said());
        signal(child.id(), name);
        let ended = runs.end(child);
        assert_ne!(ended.code, Some(0));
        assert!(newest(&runs.out(name)).is_some(), "{name}: {}", ended.said);
        let ended = runs.end(runs.start(4, name));
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(runs.model(name) == expected, "{name}");
    }
}

#[test]
fn a_rank_that_hangs_is_named() {
    let arguments = ["--steps", "100000", "--shards", "4", "--rank-timeout", "2"];
    let runs = Runs::new(&[&arguments[..], &["--log-every", "1"]].concat());
    for (ranks, rank) in [(2, 1), (2, 0)] {
        let out = format!("rank {rank}");
        let child = runs.start(ranks, &out);
        runs.first_record(&out);
        signal(runs.process(rank), "STOP");
        let ended = runs.end(child);
        assert_ne!(ended.code, Some(0));
        let expected = format!("rank {rank} has sent nothing for 2 seconds");
        assert!(ended.said.contains(&expected), "{}", ended.said);
    }
}

/// Rank 1 is started with other photos, or another number of threads, or photos that are broken, and
/// rank 0 on a full disk.
#[test]
fn ranks_that_fail_are_named() {
    let runs = Runs::new(&["--steps", "40", "--shards", "4", "--save-every", "2"]);
    write_photo(runs.out("photos/train/0/more.png"), 3);
    let copy = |name: &str| {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(runs.out("photos")).arg(runs.out(name));
        assert!(copy.status().unwrap().success());
    };
    copy("photos of others");
    std::fs::remove_file(runs.out("photos of others/train/0/more.png")).unwrap();
    copy("photos broken");
    for class in ["0", "1"] {
        let folder = runs.out("photos broken/train").join(class);
        for photo in std::fs::read_dir(folder).unwrap().flatten() {
            std::fs::write(photo.path(), "no photo").unwrap();
        }
    }
    let threads = ["--threads", "2"].map(String::from);
    let cases = [
        (
            "photos of others",
            &[][..],
            "rank 1 differs from rank 0: training photos",
        ),
        (
            "photos",
            &threads[..],
            "rank 1 differs from rank 0: number of threads: 2",
        ),
        ("photos broken", &[], "rank 1: "),
        ("no photos", &[], "rank 1: "),
    ];
    for (photos, more, expected) in cases {
        let mut all = vec!["-n".to_string(), "1".to_string(), PROGRAM.to_string()];
        all.extend(runs.train("out", "photos"));
        all.extend([":", "-n", "1", PROGRAM].map(String::from));
        all.extend(runs.train("out", photos));
        all.extend(more.iter().cloned());
        let ended = runs.end(runs.launch(&all));
        assert_ne!(ended.code, Some(0));
        assert!(
            ended.said.contains(expected),
            "{expected} in: {}",
            ended.said
        );
        assert_eq!(ended.said.matches("error: ").count(), 1, "{}", ended.said);
    }

    let full = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let mut all = ["-n", "1", "sh", "-c", full, "sh", PROGRAM]
        .map(String::from)
        .to_vec();
    all.extend(runs.train("full", "photos"));
    all.extend([":", "-n", "1", PROGRAM].map(String::from));
    all.extend(runs.train("full", "photos"));
    let ended = runs.end(runs.launch(&all));
    assert_ne!(ended.code, Some(0));
    for part in ["rank 0: ", "cannot write"] {
        assert!(ended.said.contains(part), "{part} in: {}", ended.said);
    }
    let expected = runs.alone("whole");
    let ended = runs.end(runs.start(4, "full"));
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(runs.model("full") == expected);
}
