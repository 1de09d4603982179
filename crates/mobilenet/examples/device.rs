//! Classifies a photo on a device. Takes a photo and weights, and prints names of classes. It
//! contains no candle, no network access and no training. To build a small program:
//!
//! ```sh
//! cargo build --profile device -p mobilenet --no-default-features --example device
//! ```

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use mobilenet::{Classifier, open_photo};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, photo] = arguments.as_slice() else {
        eprintln!("usage: device WEIGHTS PHOTO");
        return ExitCode::from(2);
    };
    match name(weights, photo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn name(weights: &str, photo: &str) -> Result<(), Box<dyn Error>> {
    let photo = open_photo(photo)?;
    let mut out = std::io::stdout();
    for prediction in Classifier::open(weights)?.classify(&photo, 5)? {
        let name = prediction.label.unwrap_or(prediction.class.to_string());
        writeln!(out, "{:6.2} %  {name}", 100.0 * prediction.probability)?;
    }
    Ok(())
}
