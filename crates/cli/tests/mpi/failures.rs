//! Kills, signals and failures: runs go on to the same bytes, or end in bounded time and name the rank.

use std::process::Command;
use std::time::Duration;

use crate::runs::{PROGRAM, Runs, newest};
use crate::support::write_photo;

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
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
