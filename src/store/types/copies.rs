//! Copies of the whole store.

/// How far a copy of the running store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// On its way.
    Running {
        /// Pages of the database.
        pages: u64,
        /// Those that are still to be copied.
        left: u64,
    },
    /// The copy is a database of its own, durable under its name.
    Complete(CopyCounts),
    /// There is none; the words are for operators.
    Failed(String),
}

/// What a store holds, as far as it is counted at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounts {
    /// Deleted ones included.
    pub accounts: u64,
    /// Revoked ones included.
    pub devices: u64,
    /// Replaced ones included.
    pub groups: u64,
    /// Of groups and of devices.
    pub logs: u64,
    /// Entries that all logs ever had, trimmed ones included.
    pub entries_ever: u64,
}

/// What was found in a database that nobody is running on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The version of its schema.
    pub schema: u32,
    /// The generation of the store.
    pub generation: u64,
    /// At a glance.
    pub counts: CopyCounts,
    /// Rows of every table, by name.
    pub rows: std::collections::BTreeMap<String, u64>,
}
