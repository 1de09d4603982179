//! `choose`: which width, resolution and number type fit a budget on this machine.

mod candidate;
mod grid;
mod measure;
mod plot;
mod published;

use anyhow::{Context, Result, bail};
use mobilenet::model::file::write_atomically;

use crate::args::{Choose, Precision};
use crate::output;
use crate::progress::counting;
use crate::table::text;
use crate::values::Size;
use candidate::{Candidate, rank};
use grid::{Grid, SIDES, WIDTHS, is_inside};
use measure::{Network, facts, network};
use published::accuracies;

/// Rounds in which the networks take turns, so that a busy moment does not fall on one alone.
const ROUNDS: u64 = 3;
/// Sizes that are verified if none is named.
const OTHERS: [(f64, usize); 10] = [
    (0.3, 144),
    (0.35, 208),
    (0.4, 176),
    (0.45, 136),
    (0.55, 224),
    (0.6, 200),
    (0.65, 152),
    (0.7, 184),
    (0.85, 168),
    (0.9, 216),
];

pub(crate) fn run(arguments: &Choose) -> Result<()> {
    let precisions = match arguments.precision {
        Some(precision) => vec![precision],
        None => vec![Precision::F32, Precision::Int8],
    };
    let mut candidates = Vec::new();
    for precision in precisions {
        candidates.extend(candidates_of(arguments, precision)?);
    }
    rank(arguments, &mut candidates);
    if let Some(path) = &arguments.plot {
        let svg = plot::svg(&candidates, arguments.max_ms);
        write_atomically(path, svg.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    match arguments.json {
        true => candidates.iter().try_for_each(output::json)?,
        false => print(arguments, &candidates)?,
    }
    if !candidates.iter().any(|candidate| candidate.chosen) {
        bail!("no network fits");
    }
    Ok(())
}

/// The published sizes, measured, and the others, interpolated.
fn candidates_of(arguments: &Choose, precision: Precision) -> Result<Vec<Candidate>> {
    let threads = arguments.threads as usize;
    let build = |width: f64, size| network(precision, width, size, threads);
    let mut sizes = Vec::new();
    for width in WIDTHS {
        for side in SIDES {
            sizes.push((width, [side, side]));
        }
    }
    let others = others(arguments);
    let mut networks = Vec::new();
    for &(width, size) in sizes.iter().chain(&others) {
        networks.push(build(width, size)?);
    }
    let verified = match arguments.verify {
        true => networks.len(),
        false => sizes.len(),
    };
    let times = measured(
        networks.get_mut(..verified).unwrap_or_default(),
        arguments.repeat,
    )?;

    // The time of a multiplication changes slowly from size to size, the number of them does not.
    let mut pace = [[0.0; 4]; 4];
    for (index, (&(width, size), time)) in sizes.iter().zip(&times).enumerate() {
        pace[index / 4][index % 4] = (time / facts(precision, width, size)?.work).ln();
    }
    let (pace, accuracies) = (Grid::new(pace), accuracies(precision));
    let mut candidates = Vec::new();
    for (index, &(width, size)) in sizes.iter().chain(&others).enumerate() {
        let facts = facts(precision, width, size)?;
        let side = ((size[0] * size[1]) as f64).sqrt();
        let is_published = index < sizes.len();
        let time = times.get(index).copied();
        let interpolated = pace.at(width, side).exp() * facts.work;
        candidates.push(Candidate {
            precision,
            width,
            resolution: Size(size),
            accuracy: is_inside(width, side).then(|| accuracies.at(width, side)),
            milliseconds: time.filter(|_| is_published).unwrap_or(interpolated),
            measured: is_published,
            memory_mb: networks[index].memory as f64 / 1e6,
            file_mb: facts.file as f64 / 1e6,
            fits: false,
            front: false,
            chosen: false,
            verified_ms: time.filter(|_| !is_published),
        });
    }
    Ok(candidates)
}

/// What the user names beside the published sizes.
fn others(arguments: &Choose) -> Vec<(f64, [usize; 2])> {
    if arguments.width.is_empty() && arguments.resolution.is_empty() {
        let others = OTHERS.iter().filter(|_| arguments.verify);
        return others.map(|&(width, side)| (width, [side, side])).collect();
    }
    let published = SIDES.map(|side| [side, side]);
    let named: Vec<[usize; 2]> = arguments.resolution.iter().map(|size| size.0).collect();
    let widths = || WIDTHS.iter().chain(&arguments.width).copied();
    let sizes = || published.iter().chain(&named).copied();
    let all = widths().flat_map(|width| sizes().map(move |size| (width, size)));
    all.filter(|(width, size)| !(WIDTHS.contains(width) && published.contains(size)))
        .collect()
}

/// The fastest run of each network, in milliseconds.
fn measured(networks: &mut [Network], repeat: u64) -> Result<Vec<f64>> {
    let mut times = vec![f64::INFINITY; networks.len()];
    let bar = counting(ROUNDS * networks.len() as u64);
    for _ in 0..ROUNDS {
        for (network, time) in networks.iter_mut().zip(&mut times) {
            *time = time.min(network.fastest(repeat.div_ceil(ROUNDS))?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(times)
}

fn print(arguments: &Choose, candidates: &[Candidate]) -> Result<()> {
    let row = |candidate: &Candidate| {
        let sign = |yes: bool, text: &str| if yes { text } else { "" }.to_string();
        let mark = if candidate.measured { "" } else { "~" };
        let accuracy = candidate.accuracy;
        [
            format!("{}/{}", candidate.width, candidate.resolution),
            candidate.precision.name().to_string(),
            accuracy.map_or("-".to_string(), |percent| format!("{mark}{percent:.1} %")),
            format!("{mark}{:.2}", candidate.milliseconds),
            format!("{:.1}", candidate.memory_mb),
            format!("{:.1}", candidate.file_mb),
            sign(candidate.front, "*"),
            sign(
                candidate.fits,
                if candidate.chosen { "chosen" } else { "fits" },
            ),
        ]
    };
    let rows: Vec<[String; 8]> = candidates.iter().map(row).collect();
    let columns = [
        "network",
        "type",
        "top-1",
        "ms",
        "memory MB",
        "file MB",
        "front",
        "",
    ];
    output::line(text(columns, &rows, 2))?;
    output::line(format!(
        "\ntop-1: published; ms: fastest of {} runs on {} threads; ~ interpolated; * nothing is \
         better in all of them",
        arguments.repeat, arguments.threads
    ))?;
    let errors = candidates.iter().filter_map(|candidate| {
        let measured = candidate.verified_ms?;
        Some((candidate, measured, candidate.milliseconds / measured - 1.0))
    });
    for (candidate, measured, error) in errors {
        output::line(format!(
            "{}/{} {}: interpolated {:.3} ms, measured {measured:.3} ms, {:+.1} %",
            candidate.width,
            candidate.resolution,
            candidate.precision.name(),
            candidate.milliseconds,
            100.0 * error
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_table_are_those_of_the_writers() {
        let bytes = |precision, width| facts(precision, width, [224, 224]).unwrap().file;
        // 4,254,889 values, and a header; 4,231,976 weights and what 11,945 channels have.
        let f32 = bytes(Precision::F32, 1.0);
        assert!((17_019_556..17_060_000).contains(&f32), "{f32}");
        let int8 = bytes(Precision::Int8, 1.0);
        assert!((4_209_000..4_450_000).contains(&int8), "{int8}");
    }
}
