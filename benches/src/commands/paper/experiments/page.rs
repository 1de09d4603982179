//! The results as text and plot.

use std::fmt::Write as _;

use anyhow::Result;
use mobilenet_cli::grouped;

use super::super::super::report::plots::scatter::{Frame, Mark, scatter};
use super::design::{Question, SIDES, Setting, WIDTHS, questions, questions_of_photos};
use super::results::Results;

/// The section of docs/paper.md.
pub(super) fn section(results: &Results, raw: &str, plot: &str) -> Result<String> {
    let scale = &results.scale;
    let form = match scale.quick {
        true => " --quick",
        false => "",
    };
    let mut text = format!(
        "## The paper's questions, by experiment\n\n\
         Fashion-MNIST (60,000 training and 10,000 test images, ten classes), on a quarter of the paper's\n\
         widths and resolutions. Each network is trained from scratch for {} steps of {} images with {} seeds;\n\
         \"±\" is the standard deviation over the seeds, that of a difference its standard error. ",
        grouped(scale.steps),
        scale.batch_size,
        scale.seeds
    );
    if scale.quick {
        text += "**These are the results\nof the quick form**, in which no network has learned all that it can. ";
    }
    writeln!(
        text,
        "The same seed\ngives the same accuracy on processors with the same instruction set.\n\n\
         Command: `cargo xtask paper --experiments{form}`. Raw results: [{raw}]({raw}).\n"
    )?;
    text += &sizes(results)?;
    writeln!(
        text,
        "![Accuracy against multiply-adds of the 16 sizes]({plot})\n"
    )?;
    for question in questions() {
        text += &answer(results, &question)?;
    }
    if results.has_photos() {
        write!(
            text,
            "### Photos\n\n\
             960 photos of twelve kinds of flowers, 60 of each for training and 20 for the test: those of the\n\
             GitHub repository daniele-gilio/Machine-Learning-Class, a part of the Oxford Flower Datasets, 224\n\
             pixels each. Networks are trained from scratch for {} steps of {} photos, which are cropped, mirrored\n\
             and changed in colour at random. 23 of the test photos are copies of training photos, for all networks\n\
             alike. Command: `cargo xtask paper --experiments{form} --photos DIR`.\n\n",
            grouped(scale.photo_steps),
            scale.photo_batch_size
        )?;
        for question in questions_of_photos() {
            text += &answer(results, &question)?;
        }
    }
    Ok(text)
}

fn sizes(results: &Results) -> Result<String> {
    let mut text = "### Width and resolution (tables 6 and 7, figure 4)\n\nTest accuracy in %, multiply-adds.\n\n| width |"
        .to_string();
    for side in SIDES {
        write!(text, " {side} |")?;
    }
    text += "\n|--:|";
    text += &"--:|".repeat(SIDES.len());
    text.push('\n');
    for width in WIDTHS {
        write!(text, "| {width} |")?;
        for side in SIDES {
            let setting = Setting::mobilenet(width, side);
            let accuracy = results.accuracy(&setting)?;
            write!(
                text,
                " {:.2} ± {:.2}, {} |",
                accuracy.mean,
                accuracy.deviation,
                grouped(setting.cost()?.multiply_adds)
            )?;
        }
        text.push('\n');
    }
    Ok(text + "\n")
}

fn answer(results: &Results, question: &Question) -> Result<String> {
    let mut text = format!(
        "### {}\n\n| network | width | pixels | multiply-adds | parameters | accuracy, % |\n\
         |---|--:|--:|--:|--:|--:|\n",
        question.title
    );
    for (name, setting) in &question.settings {
        let (cost, accuracy) = (setting.cost()?, results.accuracy(setting)?);
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {:.2} ± {:.2} |",
            setting.width,
            setting.side,
            grouped(cost.multiply_adds),
            grouped(cost.trainable_parameters as u64),
            accuracy.mean,
            accuracy.deviation
        )?;
    }
    let [first, second] = question.settings.each_ref().map(|(_, setting)| setting);
    let (difference, error) = results.accuracy(first)?.minus(&results.accuracy(second)?);
    let verdict = match difference.abs() > 2.0 * error {
        true => "",
        false => ", which is within two standard errors of none",
    };
    writeln!(
        text,
        "\nThe first minus the second: {difference:+.2} ± {error:.2} points{verdict}. The paper: {}.\n",
        question.paper
    )?;
    Ok(text)
}

/// Accuracy against multiply-adds on a logarithmic axis.
pub(super) fn plot(results: &Results) -> Result<String> {
    let mut lines = Vec::new();
    for width in WIDTHS {
        let mut line = Vec::new();
        for side in SIDES {
            let setting = Setting::mobilenet(width, side);
            let accuracy = results.accuracy(&setting)?;
            line.push(Mark {
                x: setting.cost()?.multiply_adds as f64 / 1e6,
                y: accuracy.mean,
                error: accuracy.deviation,
                label: match side == SIDES[0] {
                    true => format!("{width}/{side}"),
                    false => side.to_string(),
                },
            });
        }
        lines.push(line);
    }
    let quick = if results.scale.quick {
        "quick form; "
    } else {
        ""
    };
    let frame = Frame {
        title: "Fashion-MNIST: accuracy against multiply-adds",
        note: &format!(
            "{quick}a line is a width, a point a resolution, a bar a standard deviation"
        ),
        x_title: "million multiply-adds",
        y_title: "test accuracy, %",
        y_range: [88.0, 88.0],
        y_step: 2.0,
    };
    Ok(scatter(&frame, &lines))
}

#[cfg(test)]
mod tests {
    use super::super::design::{Images, Scale, settings};
    use super::super::results::Run;
    use super::*;

    #[test]
    fn the_text_has_every_question_and_says_what_is_no_difference() {
        let scale = Scale::QUICK;
        let runs = settings().into_iter().flat_map(|setting| {
            (0..scale.seeds).map(move |seed| Run {
                setting,
                seed,
                // Nothing but distillation makes a difference.
                accuracy: 0.8 + 0.01 * seed as f64 + if setting.distilled { 0.1 } else { 0.0 },
            })
        });
        let mut results = Results {
            runs: runs.collect(),
            scale,
        };
        let text = section(&results, "raw.jsonl", "plot.svg").unwrap();
        assert_eq!(text.matches("within two standard errors").count(), 6);
        assert!(
            text.contains("The first minus the second: +10.00 ± 0.82 points. "),
            "{text}"
        );
        for part in [
            "| 81.00 ± 1.00, 2,",
            "`cargo xtask paper --experiments --quick`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(plot(&results).unwrap().matches("<circle").count(), 16);
        results.runs.pop();
        assert!(section(&results, "raw.jsonl", "plot.svg").is_err());
        // No photos at all are no gap.
        results
            .runs
            .retain(|run| run.setting.images == Images::FashionMnist);
        let text = section(&results, "raw.jsonl", "plot.svg").unwrap();
        assert!(!text.contains("### Photos"));
    }
}
