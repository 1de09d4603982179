//! Ranks of a training as processes of MPI, on one or many machines. With the feature `mpi` only.

#[cfg(feature = "mpi")]
mod processes;

#[cfg(feature = "mpi")]
pub use processes::Mpi;
