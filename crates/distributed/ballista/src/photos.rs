//! Which columns of a table have photos and their names, and the query that classifies all of them.

use anyhow::{Result, bail};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};

/// The query for names and answers. DataFusion would compute the function for each field that a query
/// takes from its answer, so `flat` takes them.
pub(crate) fn query(schema: &Schema) -> Result<String> {
    let (Some(name), Some(bytes)) = (
        column(schema, ["photo", "path"], is_text),
        column(schema, ["bytes", "image"], is_binary),
    ) else {
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        bail!(
            "expected a column of names, photo or path, and one of photos, bytes or image, found {}",
            names.join(", ")
        );
    };
    Ok(format!(
        "SELECT {name} AS photo, classify({bytes}) AS answer FROM photos"
    ))
}

/// Rows of that query with the columns of `mobilenet classify --top 1`, without its times.
pub(crate) fn flat(rows: &RecordBatch) -> Result<RecordBatch> {
    let [photo, answer] = rows.columns() else {
        bail!("expected names and answers, found {}", rows.schema());
    };
    let Some(answer) = answer.as_struct_opt() else {
        bail!("expected answers, found {}", answer.data_type());
    };
    let names = ["photo", "error", "class_1", "label_1", "probability_1"];
    let columns = [photo].into_iter().chain(answer.columns()).cloned();
    let columns = names.into_iter().zip(columns);
    let columns = columns.map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// The first column with one of two names, as an expression. It may be a field of a group, as in the
/// `image.bytes` and `image.path` of Hugging Face's data sets.
fn column(schema: &Schema, names: [&str; 2], fits: fn(&DataType) -> bool) -> Option<String> {
    let is_one = |field: &Field| names.contains(&field.name().as_str()) && fits(field.data_type());
    schema.fields().iter().find_map(|field| {
        let quoted = format!("\"{}\"", field.name().replace('"', "\"\""));
        match field.data_type() {
            DataType::Struct(fields) => {
                let inner = fields.iter().find(|field| is_one(field))?;
                Some(format!("{quoted}['{}']", inner.name()))
            }
            _ => is_one(field).then_some(quoted),
        }
    })
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_binary(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::classify;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    #[test]
    fn columns_are_found() {
        let path = Field::new("path", DataType::Utf8View, true);
        let bytes = Field::new("bytes", DataType::BinaryView, true);
        let group = DataType::Struct(vec![bytes.clone(), path.clone()].into());
        let group = Field::new("a \"b\"", group, true);
        let found = query(&schema(vec![group])).unwrap();
        let expected =
            "SELECT \"a \"\"b\"\"\"['path'] AS photo, classify(\"a \"\"b\"\"\"['bytes'])";
        assert!(found.contains(expected), "{found}");
        let image = Field::new("image", DataType::Utf8, true);
        let error = query(&schema(vec![image, path])).unwrap_err().to_string();
        assert!(error.ends_with("found image, path"), "{error}");
    }

    #[tokio::test]
    async fn a_photo_is_classified_once() {
        let columns = vec![
            Field::new("path", DataType::Utf8View, true),
            Field::new("image", DataType::BinaryView, true),
        ];
        let schema = Arc::new(schema(columns));
        let context = SessionContext::new();
        context.register_udf(classify(None));
        let empty = RecordBatch::new_empty(Arc::clone(&schema));
        context.register_batch("photos", empty).unwrap();
        let answers = context.sql(&query(&schema).unwrap()).await.unwrap();
        let plan = answers.create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(plan.matches("classify(").count(), 1, "{plan}");
    }
}
