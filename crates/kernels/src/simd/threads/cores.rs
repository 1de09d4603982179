//! Which core runs a thread, and how a thread leaves it. Known on Linux only.

/// The core that runs this thread, for now.
#[cfg(target_os = "linux")]
pub(super) fn core() -> Option<usize> {
    // SAFETY: the function has no conditions.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn core() -> Option<usize> {
    None
}

/// The cores on which a thread may run.
pub(super) struct Cores {
    #[cfg(target_os = "linux")]
    allowed: Option<libc::cpu_set_t>,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// The cores of this thread, which it has from the one that started it.
    pub(super) fn of_this_thread() -> Self {
        // SAFETY: a set of cores is an array of bits, so all zeros are one, the empty set.
        let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is as large as stated.
        let result = unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) };
        Self {
            allowed: (result == 0).then_some(allowed),
        }
    }

    /// Moves this thread from the core that runs it to another of its cores. From then on it may run
    /// on all but that one. False if there is no other.
    pub(super) fn leave(&self) -> bool {
        let (Some(mut others), Some(core)) = (self.allowed, core()) else {
            return false;
        };
        if core >= libc::CPU_SETSIZE as usize {
            return false;
        }
        // SAFETY: the core is inside the set.
        let count = unsafe {
            libc::CPU_CLR(core, &mut others);
            libc::CPU_COUNT(&others)
        };
        // SAFETY: the set is as large as stated.
        count > 0 && unsafe { libc::sched_setaffinity(0, size_of_val(&others), &others) } == 0
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(super) fn of_this_thread() -> Self {
        Self {}
    }

    pub(super) fn leave(&self) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_leaves_its_core_if_it_has_another() {
        std::thread::spawn(|| {
            let cores = Cores::of_this_thread();
            let several = std::thread::available_parallelism().unwrap().get() > 1;
            for _ in 0..10 {
                let before = core();
                assert_eq!(cores.leave(), several);
                assert_eq!(core() != before, several);
            }
        })
        .join()
        .unwrap();
    }
}
