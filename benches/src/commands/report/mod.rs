//! `report`: measures our engines and others on the same networks, in turn, and writes a folder for
//! each processor and instruction set. Parts that are not measured keep their stored results.
//!
//! ```text
//! machine      the processor, the instruction set, their folder; holds peers to the set
//! environment  a virtual environment for each Python peer; tract and rten built
//! network      random weights -> our checkpoint, and the folded network for the others
//! engine       one process per engine, all alive at once; a turn is several runs
//! inference    -> results.json (results: its parts, merged)
//! integers, detection, training, busy, first_answer
//!              -> a JSON file each (raw), and a page; the first two by `compared`
//! stored       all files of a folder
//! pages        -> its pages (markdown) and plots; overview: docs/benchmarks/README.md
//!                                                            (--redraw and --check do only this)
//! ```

mod busy;
mod compared;
mod detection;
mod engine;
mod environment;
mod first_answer;
mod hold;
mod inference;
mod integers;
mod machine;
mod markdown;
mod network;
mod overview;
mod pages;
pub(super) mod plots;
mod raw;
mod results;
mod stored;
mod training;

use std::path::Path;

use anyhow::Result;

use self::environment::Environment;
use self::machine::Machine;
use self::results::{Images, Results};
use super::docs::{root, update};
use xtask::{Report, ReportPart};

pub(crate) fn run(arguments: &Report) -> Result<()> {
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => root().join("docs/benchmarks"),
    };
    if !arguments.check && !arguments.redraw {
        let environment = Environment::new(&root(), arguments.python.clone())?;
        for part in ReportPart::ALL {
            if arguments.part.is_none_or(|chosen| chosen == part) {
                measure(part, &environment, &out, arguments.quick)?;
            }
        }
    }
    update(&pages::all(&out)?, arguments.check, "report --redraw")
}

/// Measures a part and stores it in the folder of this machine.
fn measure(part: ReportPart, environment: &Environment, out: &Path, quick: bool) -> Result<()> {
    let machine = Machine::here(&root())?;
    let folder = out.join(machine.folder());
    let inference = |images| {
        let newer = inference::measure(environment, machine.clone(), images, quick)?;
        // Read now, so that parts which were stored meanwhile are kept.
        let stored: Option<Results> = raw::read(&folder, stored::RESULTS)?;
        let mut results = stored.unwrap_or_else(|| Results::new(machine.clone()));
        results.merge(newer, images);
        raw::store(&folder, stored::RESULTS, &results)
    };
    match part {
        ReportPart::Inference => inference(Images::Single),
        ReportPart::Batches => inference(Images::Batches),
        ReportPart::Integers => {
            let results = integers::measure(environment, machine, quick)?;
            raw::store(&folder, stored::INTEGERS, &results)
        }
        ReportPart::Detection => {
            let results = detection::measure(environment, machine, quick)?;
            raw::store(&folder, stored::DETECTION, &results)
        }
        ReportPart::Training => {
            let results = training::measure(environment, machine, quick)?;
            raw::store(&folder, stored::TRAINING, &results)
        }
        ReportPart::Busy => {
            let results = busy::measure(environment, machine, quick)?;
            raw::store(&folder, stored::BUSY, &results)
        }
        ReportPart::FirstAnswer => {
            let photo = root().join("docs/images/chelsea.jpg");
            let results = first_answer::measure(environment, machine, &photo, quick)?;
            raw::store(&folder, stored::FIRST_ANSWER, &results)
        }
    }
}
