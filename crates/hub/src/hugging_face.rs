//! Fetches a repository of the Hugging Face hub with the hf-hub crate.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::sync::{ApiBuilder, ApiRepo};

use crate::error::HubError;
use crate::progress::Progress;

/// Files with facts that the weights do not contain. Not every repository has them.
const CONFIGURATIONS: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// Files of weights, in order of preference.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// How long to wait for a connection to the hub before the next source is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fetches a repository into `scratch`. Returns the path of the weights; the configurations lie in
/// the same folder.
pub(crate) fn fetch(
    repository: &str,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let api = open(repository, scratch)?;
    progress.message(&format!("fetching {repository} from the Hugging Face hub"));
    for name in CONFIGURATIONS {
        // No error: the shapes of the weights determine most of what a configuration says.
        if let Err(error) = download(&api, name, progress) {
            progress.message(&format!("{name}: {error}; continuing without it"));
        }
    }
    let mut problems = Vec::new();
    for name in WEIGHTS {
        match download(&api, name, progress) {
            Ok(path) => return Ok(path),
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    Err(failed(repository, problems.join("; ")))
}

/// Fetches one file of a repository into `scratch`.
pub(crate) fn fetch_file(
    repository: &str,
    file: &str,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let api = open(repository, scratch)?;
    progress.message(&format!("fetching {repository} from the Hugging Face hub"));
    download(&api, file, progress).map_err(|error| failed(repository, format!("{file}: {error}")))
}

fn failed(repository: &str, problem: String) -> HubError {
    HubError::Source {
        origin: format!("Hugging Face hub, {repository}"),
        problem,
    }
}

/// A repository whose files are downloaded into `scratch`.
fn open(repository: &str, scratch: &Path) -> Result<ApiRepo, HubError> {
    let failed = |problem| failed(repository, problem);
    let endpoint = std::env::var("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
    reachable(&endpoint).map_err(failed)?;
    let api = ApiBuilder::from_env()
        .with_cache_dir(scratch.to_path_buf())
        .with_progress(false)
        .with_retries(2)
        .build();
    let api = api.map_err(|error| failed(error.to_string()))?;
    Ok(api.model(repository.to_string()))
}

fn download(
    api: &ApiRepo,
    name: &str,
    progress: &mut dyn Progress,
) -> Result<PathBuf, hf_hub::api::sync::ApiError> {
    api.download_with_progress(name, Bar(progress))
}

/// Checks quickly whether the hub accepts connections. Without this check an offline machine may
/// wait for minutes.
fn reachable(endpoint: &str) -> Result<(), String> {
    let proxied = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if proxied {
        return Ok(());
    }
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let host = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "http" { 80 } else { 443 };
    let address = if host.contains(':') {
        host.to_string()
    } else {
        format!("{host}:{port}")
    };
    let unreachable = |error: std::io::Error| format!("{host} cannot be reached ({error})");
    let mut last = std::io::Error::other("no address");
    for address in address.to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Adapts our [`Progress`] to hf-hub's trait.
struct Bar<'a>(&'a mut dyn Progress);

impl hf_hub::api::Progress for Bar<'_> {
    fn init(&mut self, size: usize, filename: &str) {
        self.0.begin(filename, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.0.advance(size as u64);
    }

    fn finish(&mut self) {
        self.0.end();
    }
}
