//! Runs a query on the cluster. Its result appears as a whole file or not at all.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use mobilenet::model::file::write_atomically;
use tokio_stream::StreamExt;

use crate::arguments::Client;
use crate::classify::classify;
use crate::photos;

/// Rows that are in memory at once, with their photos, for each part of a query.
const ROWS: usize = 64;

/// Makes columns of what came.
type Flat = fn(&RecordBatch) -> Result<RecordBatch>;

pub(crate) async fn run(arguments: Client) -> Result<()> {
    let out = &arguments.out;
    if out.exists() {
        eprintln!("{} is there already", out.display());
        return Ok(());
    }
    let context = connect(&arguments).await?;
    let photos = &arguments.photos;
    let failed = || format!("cannot read {}", photos.display());
    // Executors have other working directories.
    let whole = photos.canonicalize().with_context(failed)?;
    let Some(path) = whole.to_str() else {
        bail!("{}: the name is no Unicode", whole.display());
    };
    let options = ParquetReadOptions::default();
    let read = context.register_parquet("photos", path, options).await;
    read.with_context(failed)?;
    let (query, flat): (String, Flat) = match arguments.sql {
        Some(query) => (query, |rows| Ok(rows.clone())),
        None => {
            let table = context.table("photos").await?;
            let query = photos::query(table.schema().as_arrow()).with_context(failed)?;
            (query, photos::flat)
        }
    };
    let answers = context.sql(&query).await.context("the query")?;
    let rows = write(answers, flat, out).await?;
    eprintln!("{rows} rows in {}", out.display());
    Ok(())
}

/// A session on the cluster. The function must be registered after it is made: one in its state is
/// lost on the way.
async fn connect(arguments: &Client) -> Result<SessionContext> {
    let config = SessionConfig::new_with_ballista()
        .with_batch_size(ROWS)
        .with_target_partitions(usize::from(arguments.parts));
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .build();
    let url = format!("df://{}:{}", arguments.scheduler, arguments.scheduler_port);
    let context = SessionContext::remote_with_state(&url, state).await?;
    context.register_udf(classify(None));
    Ok(context)
}

/// Writes the rows of a query, and counts them.
async fn write(answers: DataFrame, flat: Flat, out: &Path) -> Result<usize> {
    let mut answers = answers.execute_stream().await?;
    let none = flat(&RecordBatch::new_empty(answers.schema()))?;
    let mut file = ArrowWriter::try_new(Vec::new(), none.schema(), None)?;
    let mut rows = 0;
    while let Some(batch) = answers.next().await {
        let batch = batch.context("the query")?;
        rows += batch.num_rows();
        file.write(&flat(&batch)?)?;
    }
    let failed = || format!("cannot write {}", out.display());
    write_atomically(out, &file.into_inner()?).with_context(failed)?;
    Ok(rows)
}
