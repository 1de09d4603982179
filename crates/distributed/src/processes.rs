//! Messages by MPI.
//!
//! Nothing here blocks: every call polls, so that a rank that is silent for too long is noticed and
//! named, and progress needs no thread of its own. MPI's own collective calls are not used: their
//! sums depend on the algorithm that the library chooses, and they hang if a rank is missing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mobilenet_train::TrainError;
use mobilenet_train::parallel::{Communicator, patience};
use mpi::Threading;
use mpi::datatype::Equivalence;
use mpi::environment::Universe;
use mpi::point_to_point::{Message, Status};
use mpi::request::Request;
use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::{Destination, Source};

use super::under_way::UnderWay;

/// Exit code of all processes if one of them is silent.
const FAILURE: i32 = 1;

/// How long a wait only looks, before it lets other processes on the same core run in between. Most
/// messages take less; a core that is given away comes back after milliseconds.
const LOOKS: Duration = Duration::from_micros(100);

/// Messages whose memory is kept.
const SPARE: usize = 8;

/// Most bytes of a message. MPI counts them with 32 bits.
const LARGEST: usize = i32::MAX as usize;

/// This process among those that a launcher such as mpirun has started. Dropping it waits for the
/// others.
pub struct Mpi {
    world: SimpleCommunicator,
    patience: Duration,
    /// Messages that were posted.
    posted: Vec<UnderWay>,
    /// Messages that were asked for, by their senders.
    arriving: HashMap<usize, UnderWay>,
    /// Memory of messages that were sent.
    spare: Vec<Vec<u8>>,
    /// Ends MPI when it is dropped, after `world`.
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI. `None` if it runs already. If another rank is silent for longer than `patience`,
    /// all processes are ended, with a message that names it.
    pub fn start(patience: Duration) -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(Self {
            world: universe.world(),
            patience,
            posted: Vec::new(),
            arriving: HashMap::new(),
            spare: Vec::new(),
            _universe: universe,
        })
    }

    /// Ends all processes.
    pub fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }

    /// A call under way cannot be given up, so this ends all processes.
    fn give_up(&self, rank: Option<usize>) -> ! {
        let seconds = self.patience.as_secs_f64();
        let error = TrainError::Silence { rank, seconds };
        eprintln!("error: rank {}: {error}", self.rank());
        self.abort(FAILURE)
    }

    /// Lets posted messages move on.
    fn push(&mut self) {
        let spare = &mut self.spare;
        self.posted.retain_mut(|message| {
            let sent = message.done();
            let under_way = sent.is_none();
            spare.extend(sent);
            under_way
        });
        // More than are under way at a time are of no use.
        spare.truncate(SPARE);
    }

    /// A rank as MPI numbers it.
    fn number(&self, rank: usize) -> Result<i32, TrainError> {
        let ranks = self.ranks();
        let number = i32::try_from(rank).ok().filter(|_| rank < ranks);
        number.ok_or(TrainError::NoRank { rank, ranks })
    }
}

fn check_size(bytes: &[u8]) -> Result<(), TrainError> {
    if bytes.len() > LARGEST {
        let problem = format!("{} bytes, at most {LARGEST}", bytes.len());
        return Err(TrainError::Message { problem });
    }
    Ok(())
}

fn length(status: &Status) -> usize {
    usize::try_from(status.count(u8::equivalent_datatype())).unwrap_or(0)
}

/// Lets other processes run, unless the wait has just begun.
fn give_way(begin: Instant) {
    if begin.elapsed() > LOOKS {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// Receives a message that has arrived.
fn receive((message, status): (Message, Status)) -> Vec<u8> {
    let mut bytes = vec![0u8; length(&status)];
    message.matched_receive_into(&mut bytes[..]);
    bytes
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or(0)
    }

    fn ranks(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn exchange(
        &mut self,
        messages: &[(usize, &[u8])],
        from: &[usize],
    ) -> Result<Vec<Vec<u8>>, TrainError> {
        let mut to = Vec::with_capacity(messages.len());
        for (rank, bytes) in messages {
            check_size(bytes)?;
            to.push((*rank, self.number(*rank)?, *bytes));
        }
        let numbers = from.iter().map(|rank| self.number(*rank));
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let mut received: Vec<Option<Vec<u8>>> = vec![None; from.len()];
        mpi::request::scope(|scope| {
            let send = |(rank, number, bytes)| {
                let process = self.world.process_at_rank(number);
                (rank, process.immediate_send(scope, bytes))
            };
            let mut sending: Vec<(usize, Request<'_, [u8], _>)> =
                to.into_iter().map(send).collect();
            let (begin, mut end) = (Instant::now(), Instant::now() + self.patience);
            loop {
                let before = sending.len() + received.iter().filter(|one| one.is_none()).count();
                sending = sending
                    .into_iter()
                    .filter_map(|(rank, request)| Some((rank, request.test().err()?)))
                    .collect();
                for (place, number) in received.iter_mut().zip(&numbers) {
                    if place.is_none() {
                        let process = self.world.process_at_rank(*number);
                        *place = process.immediate_matched_probe().map(receive);
                    }
                }
                let missing = received.iter().position(Option::is_none);
                let left = sending.len() + received.iter().filter(|one| one.is_none()).count();
                if left == 0 {
                    break;
                }
                if left < before {
                    end = Instant::now() + self.patience;
                } else if Instant::now() > end {
                    let silent = missing.and_then(|place| from.get(place).copied());
                    self.give_up(silent.or(sending.first().map(|(rank, _)| *rank)));
                }
                give_way(begin);
            }
        });
        Ok(received.into_iter().flatten().collect())
    }

    fn receive_any(&mut self) -> Result<(usize, Vec<u8>), TrainError> {
        let begin = Instant::now();
        let end = begin + self.patience;
        loop {
            if let Some((message, status)) = self.world.any_process().immediate_matched_probe() {
                let rank = usize::try_from(status.source_rank()).unwrap_or(0);
                return Ok((rank, receive((message, status))));
            }
            if Instant::now() > end {
                self.give_up(None);
            }
            give_way(begin);
        }
    }

    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), TrainError> {
        check_size(&message)?;
        let process = self.world.process_at_rank(self.number(to)?);
        self.posted.push(UnderWay::send(&process, message));
        Ok(())
    }

    fn poll(&mut self, from: usize) -> Result<Option<Vec<u8>>, TrainError> {
        let number = self.number(from)?;
        self.push();
        if !self.arriving.contains_key(&from) {
            let process = self.world.process_at_rank(number);
            if let Some((message, status)) = process.immediate_matched_probe() {
                let memory = self.spare.pop().unwrap_or_default();
                let arriving = UnderWay::receive(message, length(&status), memory);
                self.arriving.insert(from, arriving);
            }
        }
        let arriving = self.arriving.get_mut(&from);
        let message = arriving.and_then(UnderWay::done);
        if message.is_some() {
            self.arriving.remove(&from);
        }
        Ok(message)
    }

    fn wait(&mut self, from: usize, round: usize) -> Result<Vec<u8>, TrainError> {
        let begin = Instant::now();
        let end = begin + patience(self.patience, round);
        loop {
            if let Some(message) = self.poll(from)? {
                return Ok(message);
            }
            if Instant::now() > end {
                self.give_up(Some(from));
            }
            give_way(begin);
        }
    }
}

impl Drop for Mpi {
    /// Whoever is to get a posted message has it, or waits for it, unless it has failed.
    fn drop(&mut self) {
        let end = Instant::now() + self.patience;
        while !self.posted.is_empty() && Instant::now() < end {
            self.push();
            std::thread::yield_now();
        }
    }
}
