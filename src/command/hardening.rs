//! What the process gives up at its start.

use rustix::process::{Resource, Rlimit, setrlimit};

/// A crash leaves no copy of this process's memory, which holds keys; and nobody but root looks into it.
pub(super) fn leave_no_dumps() {
    // Where the system forbids even this, it has a rule of its own.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
