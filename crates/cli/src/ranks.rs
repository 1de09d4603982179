//! Several processes of the program that a launcher has started together: ranks.

use anyhow::Result;
use mobilenet::train::parallel::{Alone, Communicator};

use crate::args::Ranks;

/// Where launchers say how many processes they have started: Open MPI, MPICH and others, Slurm.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// A training was asked to stop.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) step: u64,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "stopped after step {}; continue with the same command and --resume",
            self.step
        )
    }
}

impl std::error::Error for Stopped {}

/// Does some work as one of the ranks; alone without a launcher. If one fails, all of them end.
pub(crate) fn start(
    arguments: &Ranks,
    work: impl FnOnce(&mut dyn Communicator) -> Result<()>,
) -> Result<()> {
    match launched() {
        ..=1 => work(&mut Alone),
        ranks => several(ranks, arguments, work),
    }
}

fn launched() -> usize {
    let size = |name| std::env::var(name).ok()?.parse().ok();
    SIZES.into_iter().find_map(size).unwrap_or(1)
}

#[cfg(not(feature = "mpi"))]
fn several(
    ranks: usize,
    _: &Ranks,
    _: impl FnOnce(&mut dyn Communicator) -> Result<()>,
) -> Result<()> {
    anyhow::bail!(
        "a launcher has started {ranks} processes, but this program was built without MPI; build \
         it with --features mpi"
    )
}

#[cfg(feature = "mpi")]
fn several(
    ranks: usize,
    arguments: &Ranks,
    work: impl FnOnce(&mut dyn Communicator) -> Result<()>,
) -> Result<()> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use anyhow::{Context, bail};
    use mobilenet_distributed::Mpi;

    let patience = Duration::from_secs(arguments.rank_timeout);
    let mut mpi = Mpi::start(patience).context("MPI cannot be started")?;
    if mpi.ranks() != ranks {
        bail!(
            "a launcher has started {ranks} processes, but MPI knows {}: it is not the launcher \
             of the MPI that this program was built with (with Slurm, srun --mpi=pmix)",
            mpi.ranks()
        );
    }
    let rank = mpi.rank();
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut mpi)));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is::<Stopped>() => Err(error),
        // Whoever failed says why, and ends all. Dropping MPI waits for that.
        Ok(Err(error)) if is_of_another(&error) => {
            drop(mpi);
            std::process::exit(1)
        }
        Ok(Err(error)) => {
            let reason = crate::failure::reason(&error);
            eprintln!("error: rank {rank}: {reason}");
            mpi.abort(1)
        }
        Err(_) => {
            eprintln!("error: rank {rank} has panicked");
            mpi.abort(101)
        }
    }
}

#[cfg(feature = "mpi")]
fn is_of_another(error: &anyhow::Error) -> bool {
    use mobilenet::train::TrainError;
    let error = error.downcast_ref::<TrainError>();
    matches!(error, Some(TrainError::OtherRank { .. }))
}
