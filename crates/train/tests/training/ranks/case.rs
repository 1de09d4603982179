//! A training by several ranks, as threads, on photos of stripes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::labels::Labels;
use mobilenet_model::preprocess::{Photo, Preprocessing};
use mobilenet_train::TrainError;
use mobilenet_train::data::{DataError, ImageDataset, OpenData};
use mobilenet_train::log::Record;
use mobilenet_train::parallel::{Communicator, ThreadRank, thread_ranks};
use mobilenet_train::recipe::Recipe;
use mobilenet_train::run::{Job, Observer, Replicas, RunOptions, RunOutcome, run};

const SIDE: usize = 32;
const CLASSES: usize = 3;

/// Photos of stripes, some of which may be broken.
#[derive(Clone)]
pub(super) struct Stripes {
    pub(super) photos: usize,
    pub(super) name: &'static str,
    pub(super) broken: Vec<usize>,
    pub(super) classes: Vec<String>,
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
pub(super) struct Watch {
    pub(super) records: Vec<Record>,
    pub(super) messages: Vec<String>,
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
    pub(super) options: RunOptions,
    pub(super) replicas: Option<Replicas>,
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

    pub(super) fn run(
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

pub(super) fn on<T: Send>(
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
