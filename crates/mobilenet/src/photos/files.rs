//! Many photo files on several threads, answered in order.
//!
//! A worker does all of a photo: it reads, decodes and resizes it and runs the network, on one
//! thread. So no queue holds decoded photos, and no core waits while there is a photo left.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::answer::Answer;
use super::budget::Budget;
use super::options::PhotoOptions;
use super::source::PhotoSource;
use crate::classifier::Classifier;
use crate::error::Error;
use crate::pool::Caller;

/// How many photos a worker may be ahead of the one whose answer is next, so that one slow photo
/// does not stop the others, and answers do not pile up.
const AHEAD: usize = 16;

/// A file and what it shows.
#[derive(Debug)]
pub struct FileAnswer<T = Answer> {
    /// The file, as it was given.
    pub path: PathBuf,
    /// What it shows, or why that could not be found out.
    pub answer: Result<T, Error>,
}

type Sources = Box<dyn Iterator<Item = PhotoSource> + Send>;

/// The answers of [`Classifier::classify_files`], in the order of the files.
pub type ClassifyFiles = FileAnswers<Answer>;

/// Answers in the order of the files.
pub struct FileAnswers<T>(Work<T>);

enum Work<T> {
    /// One after another, on the thread that asks, all threads for each photo.
    Alone(Job<T>, Sources),
    /// On threads of their own.
    Together(Workers<T>),
}

/// What is done with each file.
struct Job<T>(Box<Answering<T>>);

type Answering<T> = dyn Fn(&PhotoSource, Caller) -> Result<T, Error> + Send + Sync;

struct Workers<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    job: Job<T>,
    source: Mutex<Source>,
    state: Mutex<State<T>>,
    /// Notified when an answer is there or a worker ends.
    answered: Condvar,
    /// Notified when an answer was taken, or all is to stop.
    taken: Condvar,
}

struct Source {
    photos: Sources,
    /// Number of files that workers have begun.
    begun: usize,
}

struct State<T> {
    answers: BTreeMap<usize, FileAnswer<T>>,
    /// Number of answers that were taken.
    taken: usize,
    workers: usize,
    stop: bool,
}

impl Classifier {
    /// Classifies photo files on all of the engine's threads, one photo a thread, or a single photo
    /// on all of them. Answers come in the order of the files. A photo that cannot be classified
    /// gives its error, and the others go on. Memory is bounded: photos that are being decoded take
    /// [`PhotoOptions::memory`] together, and each thread holds the bytes of one file besides.
    ///
    /// ```
    /// use mobilenet::{Classifier, PhotoOptions};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let paths = ["a.ppm", "notes.txt", "b.ppm"].map(|name| folder.path().join(name));
    /// # std::fs::write(&paths[0], b"P6 1 1 255 \0\0\0")?;
    /// # std::fs::write(&paths[1], "no photo")?;
    /// # std::fs::write(&paths[2], b"P6 1 1 255 \0\0\0")?;
    /// let classifier = Classifier::fashion_mnist()?;
    /// for file in classifier.classify_files(paths, PhotoOptions::default()) {
    ///     match file.answer {
    ///         Ok(answer) => println!("{}: {:?}", file.path.display(), answer.predictions[0]),
    ///         Err(error) => println!("{error}"),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classify_files(
        &self,
        paths: impl IntoIterator<Item = PathBuf, IntoIter: Send + 'static>,
        options: PhotoOptions,
    ) -> ClassifyFiles {
        self.classify_photos(paths.into_iter().map(PhotoSource::file), options)
    }

    /// As [`Self::classify_files`], for photos that may be in memory. They are asked for as they are
    /// needed.
    pub fn classify_photos(
        &self,
        photos: impl IntoIterator<Item = PhotoSource, IntoIter: Send + 'static>,
        options: PhotoOptions,
    ) -> ClassifyFiles {
        let (classifier, budget) = (self.clone(), Budget::new(options.memory));
        let answer =
            move |photo: &PhotoSource, caller| classifier.answer(photo, &options, &budget, caller);
        FileAnswers::new(photos, self.threads(), answer)
    }
}

impl<T: Send + 'static> FileAnswers<T> {
    /// Answers files on a number of threads, one file a thread, or a single file on all of them.
    pub(crate) fn new(
        photos: impl IntoIterator<Item = PhotoSource, IntoIter: Send + 'static>,
        threads: usize,
        answer: impl Fn(&PhotoSource, Caller) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        let mut photos = photos.into_iter();
        let begin: Vec<PhotoSource> = photos.by_ref().take(2).collect();
        let several = begin.len() > 1 && threads > 1;
        let photos: Sources = Box::new(begin.into_iter().chain(photos));
        let job = Job(Box::new(answer));
        Self(match several {
            true => Workers::start(job, photos, threads),
            false => Work::Alone(job, photos),
        })
    }
}

impl<T> Job<T> {
    /// Answers a file. A panic is a bug of ours, but the other photos are not to suffer from it.
    fn run(&self, photo: PhotoSource, caller: Caller) -> FileAnswer<T> {
        let answer = catch_unwind(AssertUnwindSafe(|| self.0(&photo, caller)));
        let path = photo.into_name();
        let answer = answer.unwrap_or_else(|panic| {
            Err(Error::Panic {
                path: path.clone(),
                message: message(&*panic),
            })
        });
        FileAnswer { path, answer }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panic").to_string()
}

impl<T: Send + 'static> Workers<T> {
    fn start(job: Job<T>, photos: Sources, count: usize) -> Work<T> {
        let shared = Arc::new(Shared {
            job,
            source: Mutex::new(Source { photos, begun: 0 }),
            state: Mutex::new(State {
                answers: BTreeMap::new(),
                taken: 0,
                workers: 0,
                stop: false,
            }),
            answered: Condvar::new(),
            taken: Condvar::new(),
        });
        let start = |number| {
            let present = Present::new(Arc::clone(&shared));
            let name = format!("photos-{number}");
            Builder::new().name(name).spawn(move || present.0.work())
        };
        // Where the system gives fewer threads, those do all.
        let threads = (0..count).map_while(|number| start(number).ok()).collect();
        Work::Together(Self { shared, threads })
    }
}

impl<T> Workers<T> {
    fn next(&self) -> Option<FileAnswer<T>> {
        let shared = &self.shared;
        let mut state = shared.lock();
        loop {
            let first = state.answers.first_key_value().map(|(&index, _)| index);
            if first == Some(state.taken) || (first.is_some() && state.workers == 0) {
                let (index, answer) = state.answers.pop_first()?;
                state.taken = index + 1;
                drop(state);
                shared.taken.notify_all();
                return Some(answer);
            }
            if state.workers == 0 {
                break;
            }
            state = shared
                .answered
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // No thread could be started, or all is done.
        let (_, photo) = shared.begin()?;
        shared.lock().taken += 1;
        Some(shared.job.run(photo, Caller::Any))
    }
}

impl<T> Drop for Workers<T> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.taken.notify_all();
        for thread in self.threads.drain(..) {
            // Its panics have become answers.
            drop(thread.join());
        }
    }
}

/// A worker, for as long as it is there.
struct Present<T>(Arc<Shared<T>>);

impl<T> Present<T> {
    fn new(shared: Arc<Shared<T>>) -> Self {
        shared.lock().workers += 1;
        Self(shared)
    }
}

impl<T> Drop for Present<T> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.answered.notify_all();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic leaves the state consistent, so a poisoned lock is safe to use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some((index, photo)) = self.begin() {
            let answer = self.job.run(photo, Caller::OneOfMany);
            self.lock().answers.insert(index, answer);
            self.answered.notify_all();
        }
    }

    /// The next file and its number, once it is not too far ahead. `None` where there is none left.
    fn begin(&self) -> Option<(usize, PhotoSource)> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        while source.begun >= state.taken + AHEAD * state.workers.max(1) && !state.stop {
            state = self
                .taken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return None;
        }
        drop(state);
        let photo = source.photos.next()?;
        source.begun += 1;
        Some((source.begun - 1, photo))
    }
}

impl<T> Iterator for FileAnswers<T> {
    type Item = FileAnswer<T>;

    fn next(&mut self) -> Option<FileAnswer<T>> {
        match &mut self.0 {
            Work::Alone(job, photos) => Some(job.run(photos.next()?, Caller::Any)),
            Work::Together(workers) => workers.next(),
        }
    }
}

impl<T> fmt::Debug for FileAnswers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileAnswers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_answer_of_its_file_alone() {
        let answer = |photo: &PhotoSource, _| match photo.name().to_str() {
            Some("3") => panic!("on three"),
            _ => Err(Error::NoClassifier),
        };
        let paths = (0..50).map(|number| PathBuf::from(number.to_string()));
        let paths: Sources = Box::new(paths.map(PhotoSource::file));
        let files = FileAnswers::<Answer>(Workers::start(Job(Box::new(answer)), paths, 4));
        let found: Vec<FileAnswer> = files.collect();
        assert_eq!(found.len(), 50);
        for (number, file) in found.iter().enumerate() {
            assert_eq!(file.path.to_str(), Some(number.to_string().as_str()));
            let text = file.answer.as_ref().unwrap_err().to_string();
            assert_eq!(text.contains("on three"), number == 3, "{text}");
        }
    }
}
