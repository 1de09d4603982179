//! The function `classify(photo)` of SQL: the bytes of a photo file -> its best class. A broken photo
//! is an error in its row, and does not end the query.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, StructArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use mobilenet::{Answer, Classifier, Error, PhotoOptions, PhotoSource};

/// What a row is called in its errors. Its name is in another column.
const ROW: &str = "photo";

/// The function. The classifier is there on executors only; the others need no more than its name and
/// types.
#[derive(Debug)]
struct Classify {
    classifier: Option<Classifier>,
    signature: Signature,
}

/// The function for an executor, or by its name for others.
pub(crate) fn classify(classifier: Option<Classifier>) -> ScalarUDF {
    let photos = vec![
        DataType::BinaryView,
        DataType::LargeBinary,
        DataType::Binary,
    ];
    ScalarUDF::from(Classify {
        classifier,
        signature: Signature::uniform(1, photos, Volatility::Immutable),
    })
}

/// A process has one such function.
impl PartialEq for Classify {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for Classify {}

impl Hash for Classify {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for Classify {
    fn name(&self) -> &str {
        "classify"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(classifier), [photos]) = (&self.classifier, &arguments.args[..]) else {
            return exec_err!("classify of one photo runs on executors only");
        };
        let photos = photos.to_array(arguments.number_rows)?;
        let photos = cast(&photos, &DataType::BinaryView)?;
        Ok(ColumnarValue::Array(Arc::new(answers(classifier, &photos))))
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("error", DataType::Utf8, true),
        Field::new("class", DataType::Int64, true),
        Field::new("label", DataType::Utf8, true),
        Field::new("probability", DataType::Float64, true),
    ])
}

/// Classifies photos, which are copied one by one.
fn answers(classifier: &Classifier, photos: &ArrayRef) -> StructArray {
    let bytes = photos.as_binary_view().clone();
    let known = (0..bytes.len()).filter({
        let bytes = bytes.clone();
        move |row| bytes.is_valid(*row)
    });
    let sources = known.map(move |row| PhotoSource::bytes(ROW.into(), bytes.value(row).to_vec()));
    let options = PhotoOptions {
        top: 1,
        ..PhotoOptions::default()
    };
    let least = classifier.metadata().least_probability;
    let mut answers = classifier.classify_photos(sources, options);
    let mut rows = Rows::default();
    for row in 0..photos.len() {
        match photos.is_valid(row).then(|| answers.next()).flatten() {
            Some(photo) => rows.push(photo.answer, least),
            None => rows.push_error("no photo".into()),
        }
    }
    rows.finish()
}

/// Columns of the answers.
#[derive(Default)]
struct Rows {
    errors: Vec<Option<String>>,
    classes: Vec<Option<i64>>,
    labels: Vec<Option<String>>,
    probabilities: Vec<Option<f64>>,
}

impl Rows {
    /// As `mobilenet classify`: a class less probable than the weights' own limit is none.
    fn push(&mut self, answer: std::result::Result<Answer, Error>, least: Option<f64>) {
        let best = match answer {
            Ok(answer) => answer.predictions.into_iter().next(),
            Err(error) => return self.push_error(error.to_string()),
        };
        let best =
            best.filter(|best| least.is_none_or(|least| f64::from(best.probability) >= least));
        let class = |class: usize| i64::try_from(class).ok();
        self.errors.push(None);
        self.classes
            .push(best.as_ref().and_then(|best| class(best.class)));
        self.probabilities
            .push(best.as_ref().map(|best| f64::from(best.probability)));
        self.labels.push(best.and_then(|best| best.label));
    }

    fn push_error(&mut self, error: String) {
        self.errors.push(Some(error));
        self.classes.push(None);
        self.labels.push(None);
        self.probabilities.push(None);
    }

    fn finish(self) -> StructArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.errors)),
            Arc::new(Int64Array::from(self.classes)),
            Arc::new(StringArray::from(self.labels)),
            Arc::new(Float64Array::from(self.probabilities)),
        ];
        StructArray::new(fields(), columns, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::BinaryViewArray;

    #[test]
    fn broken_photos_are_errors_in_their_rows() {
        let black: &[u8] = b"P6 1 1 255 \0\0\0";
        let photos = [Some(black), Some(&b"no photo"[..]), None, Some(black)];
        let photos: ArrayRef = Arc::new(BinaryViewArray::from_iter(photos));
        let found = answers(&Classifier::fashion_mnist().unwrap(), &photos);
        let errors = found.column(0).as_string::<i32>();
        assert!(errors.is_null(0) && errors.is_null(3));
        assert!(
            errors.value(1).starts_with("photo: not a"),
            "{}",
            errors.value(1)
        );
        assert_eq!(errors.value(2), "no photo");
        for column in &found.columns()[1..] {
            assert!(column.is_valid(0) && column.is_null(1) && column.is_null(2));
            assert!(column.slice(0, 1) == column.slice(3, 1));
        }
    }
}
