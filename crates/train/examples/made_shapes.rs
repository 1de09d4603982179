//! Writes the made data set of coloured shapes on which a detector's training is tried:
//!
//!     cargo run -p mobilenet-train --example made_shapes -- DIR TRAIN TEST SIDE

#![allow(unreachable_pub, reason = "the module is one of the tests, too")]

use std::path::Path;

#[path = "../tests/support/shapes.rs"]
mod shapes;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| {
        arguments
            .get(index)
            .and_then(|text| text.parse::<u32>().ok())
    };
    match (arguments.first(), number(1), number(2), number(3)) {
        (Some(dir), Some(train), Some(test), Some(side)) if side >= 16 => {
            shapes::write(Path::new(dir), [train as usize, test as usize], side);
            println!(
                "{train} and {test} photos of {}",
                shapes::CLASSES.join(", ")
            );
        }
        _ => {
            eprintln!("made_shapes DIR TRAIN TEST SIDE, where SIDE is at least 16");
            std::process::exit(2);
        }
    }
}
