//! The two parts of a cluster: the scheduler, and executors, which have the weights.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::default_session_builder;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use datafusion::execution::FunctionRegistry;
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{ReadLimits, is_quantized, load, load_quantized};
use mobilenet::{Classifier, Engine};

use crate::arguments::{Executor, Scheduler};
use crate::classify::classify;

/// Seconds that an executor waits for the scheduler at its start.
const START: u16 = 60;

pub(crate) async fn schedule(arguments: Scheduler) -> Result<()> {
    let timeout = arguments.executor_timeout;
    let config = SchedulerConfig {
        bind_host: arguments.host.to_string(),
        external_host: arguments.host.to_string(),
        bind_port: arguments.port,
        executor_timeout_seconds: timeout,
        expire_dead_executor_interval_seconds: (timeout / 3).clamp(1, 15),
        no_executors_grace_period_seconds: timeout,
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            state.register_udf(Arc::new(classify(None)))?;
            Ok(state)
        })),
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await?;
    let address = SocketAddr::new(arguments.host, arguments.port);
    let server = start_server(cluster, address, Arc::new(config));
    server
        .await
        .with_context(|| format!("scheduler at {address}"))
}

pub(crate) async fn execute(arguments: Executor) -> Result<()> {
    let tasks = match arguments.tasks {
        Some(tasks) => usize::from(tasks),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let classifier = classifier(&arguments.weights, tasks)?;
    let function = Arc::new(classify(Some(classifier)));
    let mut registry = BallistaFunctionRegistry::default();
    let functions = &mut registry.scalar_functions;
    functions.insert(function.name().to_string(), function);
    let work_dir = arguments.work_dir.map(|path| match path.to_str() {
        Some(path) => Ok(path.to_string()),
        None => Err(anyhow!("{}: the name is no Unicode", path.display())),
    });
    let config = ExecutorProcessConfig {
        bind_host: in_address(arguments.host),
        external_host: (!arguments.host.is_unspecified()).then(|| in_address(arguments.host)),
        port: arguments.port,
        grpc_port: arguments.orders_port,
        scheduler_host: arguments.scheduler,
        scheduler_port: arguments.scheduler_port,
        scheduler_connect_timeout_seconds: START,
        vcores: tasks,
        work_dir: work_dir.transpose()?,
        executor_heartbeat_interval_seconds: arguments.heartbeat,
        override_function_registry: Some(Arc::new(registry)),
        ..ExecutorProcessConfig::default()
    };
    Ok(start_executor_process(Arc::new(config)).await?)
}

/// A host as it is before a port.
fn in_address(host: IpAddr) -> String {
    match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    }
}

/// A classifier that lends a plan of one thread to each of so many tasks.
fn classifier(path: &Path, tasks: usize) -> Result<Classifier> {
    let limits = ReadLimits::default();
    let classifier = if is_quantized(path, limits)? {
        let quantized = load_quantized(path, limits)?;
        Classifier::from_integers(quantized.metadata, quantized.network, Some(tasks))?
    } else {
        let engine = Engine::Plan {
            threads: Some(tasks),
            weights: WeightType::F32,
        };
        Classifier::from_checkpoint(load(path, limits)?, engine)?
    };
    if classifier.metadata().classes.is_none() {
        bail!("{} has no classifier", path.display());
    }
    Ok(classifier)
}
