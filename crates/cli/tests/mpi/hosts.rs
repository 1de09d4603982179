//! Several hosts: the file of one process, and failures of a host or its link.

use std::path::PathBuf;
use std::process::Command;

use crate::runs::Runs;

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
