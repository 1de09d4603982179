//! CSV by RFC 4180: one record a photo, with as many columns as answers are asked for.

use mobilenet::Prediction;

use crate::csv::field;

/// The names of the columns.
pub(super) fn header(top: usize) -> String {
    let answers = (1..=top).flat_map(|rank| {
        ["class", "label", "probability"].map(|column| format!("{column}_{rank}"))
    });
    let columns = ["photo", "error", "milliseconds"].map(String::from);
    record(columns.into_iter().chain(answers))
}

/// The record of a photo that was classified, or of one that could not be.
pub(super) fn photo(name: &str, found: Result<(f64, &[Prediction]), &str>, top: usize) -> String {
    let (error, milliseconds, predictions) = match found {
        Ok((milliseconds, predictions)) => ("", format!("{milliseconds:.3}"), predictions),
        Err(error) => (error, String::new(), &[][..]),
    };
    let answers = predictions.iter().flat_map(|prediction| {
        [
            prediction.class.to_string(),
            prediction.label.clone().unwrap_or_default(),
            prediction.probability.to_string(),
        ]
    });
    let missing = 3 * top.saturating_sub(predictions.len());
    let columns = [name.to_string(), error.to_string(), milliseconds];
    let empty = std::iter::repeat_n(String::new(), missing);
    record(columns.into_iter().chain(answers).chain(empty))
}

fn record(fields: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = fields.map(|text| field(&text).into_owned()).collect();
    quoted.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let prediction = Prediction {
            class: 3,
            label: Some("tabby, \"tabby cat\"".into()),
            probability: 0.5,
        };
        let names = ["a.jpg", "b,c.jpg", "d\"e.jpg", "f\ng.jpg", ""];
        let mut text = header(2);
        assert_eq!(
            text,
            "photo,error,milliseconds,class_1,label_1,probability_1,class_2,label_2,probability_2\r\n"
        );
        for name in names {
            text += &photo(name, Ok((1.25, std::slice::from_ref(&prediction))), 2);
        }
        text += &photo("bad", Err("no photo, or none at all"), 2);
        assert!(text.contains("a.jpg,,1.250,3,\"tabby, \"\"tabby cat\"\"\",0.5,,,\r\n"));
        assert!(text.ends_with("bad,\"no photo, or none at all\",,,,,,,\r\n"));
        let whole = text.len();
        text += "torn.jpg,,1.25,3,\"tab\r\n";
        let (fields, end) = crate::csv::first_fields(text.as_bytes());
        assert_eq!(end, whole);
        assert_eq!(fields[0], "photo");
        assert_eq!(fields[1..6], names);
        assert_eq!(fields[6], "bad");
    }
}
