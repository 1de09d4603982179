//! Ranks of a training as processes of MPI, on one or many machines. With the feature `mpi` only.

#[cfg(feature = "mpi")]
mod processes;
#[cfg(feature = "mpi")]
#[allow(
    unsafe_code,
    reason = "MPI reads and writes bytes while the program goes on"
)]
mod under_way;

#[cfg(feature = "mpi")]
pub use processes::Mpi;
