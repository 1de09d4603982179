//! The bytes of one process, whatever the number of processes and the network between them.

use crate::runs::{PROGRAM, Runs, mpirun};
use crate::support::{self, Folder, json, run, write_boxes};

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

#[test]
fn detectors_train_and_are_evaluated_alike() {
    let folder = Folder::new();
    let data = write_boxes(&folder);
    let ranks = |arguments: &[&str]| {
        let output = mpirun()
            .args(["-n", "2", PROGRAM])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    };
    let fixed = "train --task detection --width 0.25 --resolution 64 --batch-size 4 --shards 2 \
                 --steps 4 --rank-timeout 60";
    let train = |out: &str| {
        let mut arguments: Vec<String> = fixed.split_whitespace().map(String::from).collect();
        arguments.extend(["--data", &data, "--out", out].map(String::from));
        arguments
    };
    let (one, two) = (folder.path("one"), folder.path("two"));
    let arguments = train(&one);
    let alone = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(alone.status.success(), "{alone:?}");
    let arguments = train(&two);
    ranks(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let model = |out: &str| std::fs::read(format!("{out}/model.safetensors")).unwrap();
    assert!(model(&one) == model(&two));

    let weights = format!("{two}/model.safetensors");
    let eval = [
        "eval",
        "--task",
        "detection",
        "--json",
        "-w",
        &weights,
        "-d",
        &data,
    ];
    let found = support::lines(&ranks(&eval));
    assert_eq!(found.len(), 1, "only one rank prints");
    for key in ["images", "objects", "ap", "ap_50", "ar_100", "voc_ap"] {
        assert_eq!(found[0][key], json(&eval)[0][key], "{key}");
    }
}
