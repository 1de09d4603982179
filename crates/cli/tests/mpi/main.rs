//! Trainings by several processes under mpirun: the bytes of one process, whatever their number and
//! whatever ends them; failures end all in bounded time and name the rank. `.ci/features` runs these.

mod failures;
mod hosts;
mod runs;
mod same_file;
#[path = "../support/mod.rs"]
mod support;
