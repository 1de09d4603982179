//! Whole trainings by several ranks, as threads: the files of one rank, whatever their number;
//! checkpoints go over from one number to another; whatever goes wrong names the rank.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::labels::Labels;
use mobilenet_model::preprocess::{Photo, Preprocessing};
use mobilenet_train::TrainError;
use mobilenet_train::data::{DataError, ImageDataset, OpenData};
use mobilenet_train::log::Record;
use mobilenet_train::moving_average::MovingAverageConfig;
use mobilenet_train::optimizer::{GradientClipping, OptimizerConfig};
use mobilenet_train::parallel::{Alone, Communicator, ThreadRank, Wire, thread_ranks};
use mobilenet_train::quantization::Quantization;
use mobilenet_train::recipe::Recipe;
use mobilenet_train::run::{Job, Observer, Replicas, RunOptions, RunOutcome, run};

pub(super) const SIDE: usize = 32;
const CLASSES: usize = 3;

/// Photos of stripes, some of which may be broken.
#[derive(Clone)]
pub(super) struct Stripes {
    photos: usize,
    name: &'static str,
    broken: Vec<usize>,
    classes: Vec<String>,
}

impl Stripes {
    pub(super) fn new(photos: usize) -> Self {
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        let broken = Vec::new();
        Self {
            photos,
            name: "stripes",
            broken,
            classes,
        }
    }

    fn data(self, test: usize) -> OpenData {
        OpenData {
            train: Arc::new(self),
            test: Some(Arc::new(Self::new(test))),
        }
    }
}

impl ImageDataset for Stripes {
    fn len(&self) -> usize {
        self.photos
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        index % CLASSES
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        if self.broken.contains(&index) {
            return Err(DataError::Settings("no photo".into()));
        }
        let width = 2 + 3 * self.label(index) as u32;
        Ok(Photo::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            let value = if ((x + index as u32) / width).is_multiple_of(2) {
                40
            } else {
                200
            };
            image::Rgb([value, (y * 7) as u8, value])
        }))
    }

    fn name(&self, index: usize) -> String {
        format!("{}/{index}", self.name)
    }
}

fn recipe(shards: usize) -> Recipe {
    Recipe {
        batch_size: 12,
        shards,
        resolution: SIDE,
        batch_norm_decay: 0.8,
        ..Recipe::photos(7, 3, 12, SIDE)
    }
}

fn initial() -> Checkpoint {
    let metadata = Metadata {
        width: 0.25,
        classes: Some(CLASSES),
        labels: Labels::Unknown,
        ..Metadata::new(Preprocessing::slim(SIDE))
    };
    Checkpoint {
        parameters: initial_parameters(&metadata.config(), 3).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

fn options(out: &Path) -> RunOptions {
    RunOptions {
        out: out.to_path_buf(),
        version: "1".into(),
        threads: 1,
        workers: 1,
        resume: true,
        save_every: Some(2),
        keep: 2,
        log_every: 2,
        max_skipped_share: 0.2,
    }
}

#[derive(Default)]
struct Watch {
    records: Vec<Record>,
    messages: Vec<String>,
}

impl Observer for Watch {
    fn begin(&mut self, _: u64, _: u64) {}
    fn step(&mut self, _: u64, _: f64) {}
    fn record(&mut self, record: &Record) {
        self.records.push(*record);
    }
    fn message(&mut self, text: &str) {
        self.messages.push(text.to_string());
    }
}

pub(super) struct Case {
    pub(super) recipe: Recipe,
    pub(super) initial: Checkpoint,
    pub(super) data: OpenData,
    options: RunOptions,
    replicas: Option<Replicas>,
}

impl Case {
    pub(super) fn new(out: &Path, shards: usize) -> Self {
        Self {
            recipe: recipe(shards),
            initial: initial(),
            data: Stripes::new(40).data(17),
            options: options(out),
            replicas: None,
        }
    }

    fn run(
        &self,
        rank: &mut dyn Communicator,
        stop: &AtomicBool,
    ) -> (Result<RunOutcome, TrainError>, Watch) {
        let mut watch = Watch::default();
        let job = Job {
            recipe: self.recipe.clone(),
            initial: self.initial.clone(),
            data: &self.data,
            replicas: self.replicas,
            options: &self.options,
        };
        (run(job, None, rank, stop, &mut watch), watch)
    }
}

/// Runs a case for each rank, at the same time.
pub(super) fn on_ranks(
    ranks: usize,
    case: impl Fn(usize) -> Case + Sync,
) -> Vec<Result<RunOutcome, TrainError>> {
    let stop = AtomicBool::new(false);
    on(thread_ranks(ranks), |rank, number| {
        case(number).run(rank, &stop).0
    })
}

fn on<T: Send>(
    ranks: Vec<ThreadRank>,
    run: impl Fn(&mut dyn Communicator, usize) -> T + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let ranks = ranks.into_iter().enumerate();
        let start = |(number, mut rank)| scope.spawn(move || run(&mut rank, number));
        let threads: Vec<_> = ranks.map(start).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

pub(super) fn model(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("model.safetensors")).unwrap()
}

pub(super) fn problem(outcome: &Result<RunOutcome, TrainError>) -> String {
    outcome.as_ref().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn any_number_of_ranks_writes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    for (shards, all) in [(4, &[1, 2, 4][..]), (6, &[1, 3, 6])] {
        let mut expected = None;
        for &ranks in all {
            let out = folder.path().join(format!("{shards} {ranks}"));
            let mut outcomes = on_ranks(ranks, |_| Case::new(&out, shards));
            let outcome = outcomes.swap_remove(0).unwrap();
            // The evaluation has counts of all parts, and the images in one order.
            let evaluation = outcome.evaluation.unwrap().evaluation;
            let worst: Vec<usize> = evaluation
                .most_wrong()
                .iter()
                .map(|one| one.image)
                .collect();
            assert_eq!(evaluation.accuracy().images(), 17);
            let found = (
                model(&out),
                *evaluation.accuracy(),
                evaluation.confusion().clone(),
                worst,
            );
            assert!(
                *expected.get_or_insert(found.clone()) == found,
                "{shards} {ranks}"
            );
        }
    }
}

#[test]
fn a_training_goes_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    on_ranks(1, |_| Case::new(&whole, 4)).remove(0).unwrap();
    for (ranks, steps) in [(4, 3), (2, 6), (1, 7)] {
        let outcomes = on_ranks(ranks, |_| {
            let mut case = Case::new(&broken, 4);
            // The schedule stays that of the whole training.
            case.recipe.steps = steps;
            case
        });
        assert!(outcomes.iter().all(Result::is_ok));
    }
    assert!(model(&broken) == model(&whole));
}

/// What rounding has lost is forgotten at checkpoints, also by a run that goes on.
#[test]
fn with_rounded_gradients_too_if_the_number_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let case = |out: &Path| {
        let mut case = Case::new(out, 4);
        case.recipe.wire = Wire::Bf16;
        case
    };
    on_ranks(2, |_| case(&whole)).remove(0).unwrap();
    for steps in [4, 7] {
        let outcomes = on_ranks(2, |_| {
            let mut case = case(&broken);
            case.recipe.steps = steps;
            case
        });
        assert!(outcomes.iter().all(Result::is_ok));
    }
    assert!(model(&broken) == model(&whole));
    let mut refused = case(&folder.path().join("refused"));
    refused.replicas = Some(Replicas {
        servers: 1,
        aggregate: None,
    });
    let refused = on(thread_ranks(2), |rank, _| {
        let never = AtomicBool::new(false);
        refused.run(rank, &never).0
    });
    assert!(problem(&refused[0]).contains("gradients as bf16"));
}

/// One rank is told to stop; all stop after the same step.
#[test]
fn a_signal_to_one_rank_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    on_ranks(1, |_| Case::new(&whole, 4)).remove(0).unwrap();
    let (never, now) = (AtomicBool::new(false), AtomicBool::new(true));
    let case = || Case::new(&stopped, 4);
    let outcomes = on(thread_ranks(4), |rank, number| {
        let stop = if number == 2 { &now } else { &never };
        case().run(rank, stop).0.unwrap()
    });
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.interrupted && outcome.step == 0)
    );
    now.store(false, Ordering::SeqCst);
    on_ranks(2, |_| case()).remove(0).unwrap();
    assert!(model(&stopped) == model(&whole));
}

#[test]
fn a_rank_that_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut Case);
    let changes: [(&str, Change); 5] = [
        ("version", |case| case.options.version = "2".into()),
        ("number of threads", |case| case.options.threads = 2),
        ("training photos", |case| {
            let mut other = Stripes::new(40);
            other.name = "others";
            case.data.train = Arc::new(other);
        }),
        ("test photos", |case| {
            case.data.test = Some(Arc::new(Stripes::new(16)))
        }),
        ("recipe: seed", |case| case.recipe.seed = 1),
    ];
    for (what, change) in changes {
        let outcomes = on_ranks(4, |rank| {
            let mut case = Case::new(&folder.path().join("out"), 4);
            if rank == 2 {
                change(&mut case);
            }
            case
        });
        let expected = format!("rank 2 differs from rank 0: {what}");
        assert!(
            problem(&outcomes[2]).contains(&expected),
            "{}",
            problem(&outcomes[2])
        );
        for rank in [0, 1, 3] {
            let error = outcomes[rank].as_ref().map(|_| ()).unwrap_err();
            assert!(
                matches!(error, TrainError::OtherRank { rank: 2, .. }),
                "{error}"
            );
        }
    }
    assert!(!folder.path().join("out").exists(), "nothing was begun");
}

#[test]
fn a_rank_that_fails_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Photos that only rank 1 cannot read, more than are allowed.
    let outcomes = on_ranks(2, |rank| {
        let mut case = Case::new(&out, 4);
        let mut stripes = Stripes::new(40);
        if rank == 1 {
            stripes.broken = (0..40).collect();
        }
        case.data.train = Arc::new(stripes);
        case
    });
    assert!(problem(&outcomes[1]).contains("photos cannot be used"));
    assert!(problem(&outcomes[0]).contains("rank 1 ends the training"));
    // A rank that panics, or returns early, has ended for the others; one that hangs is silent.
    let stop = AtomicBool::new(false);
    for hangs in [false, true] {
        let patience = Duration::from_millis(300);
        let ranks = thread_ranks(4).into_iter();
        let ranks = ranks.map(|rank| rank.with_patience(patience)).collect();
        let outcomes = on(ranks, |rank, number| {
            if number == 3 && hangs {
                std::thread::sleep(5 * patience);
            }
            (number != 3).then(|| problem(&Case::new(&out, 4).run(rank, &stop).0))
        });
        let expected = if hangs {
            "rank 3 has sent nothing"
        } else {
            "rank 3 has ended"
        };
        let first = outcomes
            .iter()
            .flatten()
            .find(|text| text.contains(expected));
        assert!(first.is_some(), "{outcomes:?}");
    }
}

/// Photos that cannot be read are replaced by the same ones, and are told once, by rank 0.
#[test]
fn broken_photos_are_the_same_for_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let mut seen = Vec::new();
    for ranks in [1, 4] {
        let out = folder.path().join(ranks.to_string());
        let mut all = on(thread_ranks(ranks), |rank, _| {
            let mut case = Case::new(&out, 4);
            let broken = vec![3, 8, 21, 39];
            case.data.train = Arc::new(Stripes {
                broken,
                ..Stripes::new(40)
            });
            case.run(rank, &stop)
        });
        assert!(
            all.iter()
                .skip(1)
                .all(|(_, watch)| watch.messages.is_empty())
        );
        let (outcome, mut watch) = all.swap_remove(0);
        let mut skipped: Vec<usize> = outcome
            .unwrap()
            .skipped
            .into_iter()
            .map(|photo| photo.index)
            .collect();
        skipped.sort_unstable();
        watch.messages.sort();
        seen.push((model(&out), skipped, watch.messages));
    }
    assert_eq!(seen[0].1, [3, 8, 21, 39]);
    assert!(seen[0] == seen[1]);
}

#[test]
fn a_number_of_ranks_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = on_ranks(3, |_| Case::new(&folder.path().join("out"), 4));
    assert!(problem(&outcomes[0]).contains("4 shards can be computed by 1, 2, 4 ranks, not by 3"));
    let case = Case::new(&folder.path().join("one"), 1);
    case.run(&mut Alone, &AtomicBool::new(false)).0.unwrap();
}

/// A case of servers and workers.
fn replicas(out: &Path, servers: usize, aggregate: Option<usize>) -> Case {
    Case {
        replicas: Some(Replicas { servers, aggregate }),
        ..Case::new(out, 2)
    }
}

/// Slices on several servers, with an optimiser that has slots, an average and clipping.
#[test]
fn one_worker_is_a_training_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let with_slots = |mut case: Case| {
        case.recipe.optimizer = OptimizerConfig::adam_w();
        case.recipe.clipping = Some(GradientClipping::GlobalNorm { limit: 0.5 });
        case.recipe.moving_average = Some(MovingAverageConfig {
            decay: 0.9,
            ramp: true,
        });
        case
    };
    on_ranks(1, |_| with_slots(Case::new(&whole, 2)))
        .remove(0)
        .unwrap();
    for (servers, aggregate) in [(1, None), (3, None), (1, Some(1)), (2, Some(1))] {
        let out = folder.path().join(format!("{servers} {aggregate:?}"));
        // Interrupted in between.
        for steps in [3, 7] {
            let outcomes = on_ranks(servers + 1, |_| {
                let mut case = with_slots(replicas(&out, servers, aggregate));
                case.recipe.steps = steps;
                case
            });
            let failed: Vec<_> = outcomes
                .iter()
                .filter_map(|one| one.as_ref().err())
                .collect();
            assert!(failed.is_empty(), "{failed:?}");
        }
        assert!(
            model(&out) == model(&whole),
            "{servers} servers, {aggregate:?}"
        );
    }
}

#[test]
fn workers_do_not_wait_and_staleness_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    for (name, servers, aggregate) in [
        ("async", 2, None),
        ("sync", 2, Some(3)),
        ("backup", 1, Some(2)),
        ("more", 1, Some(5)),
    ] {
        let out = folder.path().join(name);
        let mut all = on(thread_ranks(servers + 3), |rank, _| {
            let mut case = replicas(&out, servers, aggregate);
            case.recipe.steps = 20;
            case.run(rank, &stop)
        });
        let (outcome, watch) = all.swap_remove(0);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.step, 20, "{name}");
        assert_eq!(
            outcome.evaluation.unwrap().evaluation.accuracy().images(),
            17
        );
        let staleness: Vec<f64> = watch
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Step(record) => Some(record.staleness.unwrap()),
                _ => None,
            })
            .collect();
        assert_eq!(staleness.len(), 10, "{name}");
        let mean = staleness.iter().sum::<f64>() / 10.0;
        println!("{name}: mean staleness {mean:.2}");
        match name {
            // Three workers that do not wait are never all fresh.
            "async" => assert!(mean > 0.0 && mean < 20.0, "{staleness:?}"),
            // Only what comes too late for a step that is done is stale.
            "sync" | "more" => assert!(mean < 1.0, "{staleness:?}"),
            _ => assert!(mean.is_finite()),
        }
    }
}

#[test]
fn servers_and_workers_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (servers, aggregate, ranks, expected) in [
        (2, None, 2, "2 of 2 ranks"),
        (0, None, 2, "0 of 2 ranks"),
        (1, Some(0), 2, "at least 1, was 0"),
    ] {
        let outcomes = on_ranks(ranks, |_| replicas(&out, servers, aggregate));
        assert!(
            problem(&outcomes[0]).contains(expected),
            "{}",
            problem(&outcomes[0])
        );
    }
    let outcomes = on_ranks(2, |_| {
        let mut case = replicas(&out, 1, None);
        case.recipe.quantization = Some(Quantization::default());
        case
    });
    assert!(problem(&outcomes[1]).contains("training for integers must be synchronous"));
}
