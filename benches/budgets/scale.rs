//! How much is measured.

/// Numbers of everything.
#[derive(Clone, Copy)]
pub struct Scale {
    /// How often each figure is measured; the best counts, because neighbours on the machine only ever add.
    pub rounds: usize,
    /// Pairs that send at the same time.
    pub pairs: usize,
    /// Messages of one sender that wait for their answer.
    pub outstanding: usize,
    /// Messages that each sender sends in a round.
    pub messages: usize,
    /// Messages timed one by one.
    pub timed: usize,
    /// Entries that wait for one device.
    pub backlog: usize,
    /// Connections that do nothing.
    pub idle: usize,
    /// Devices that come back.
    pub returning: usize,
    /// Live connections of one server.
    pub capacity: usize,
    /// Connections of a server that is drained.
    pub drained: usize,
    /// Members of the groups that a message goes out to.
    pub live: [usize; 3],
    /// Deliveries of a fan-out round, about.
    pub deliveries: usize,
    /// Members of the groups that commits change.
    pub committing: [usize; 3],
    /// Commits of one group in a round.
    pub commits: usize,
}

impl Scale {
    /// What the budgets name.
    pub const FULL: Self = Self {
        rounds: 3,
        pairs: 50,
        outstanding: 16,
        messages: 2000,
        timed: 1000,
        backlog: 100_000,
        idle: 2000,
        returning: 200,
        capacity: 10_000,
        drained: 5000,
        live: [2, 100, 1000],
        deliveries: 60_000,
        committing: [10, 100, 1000],
        commits: 20,
    };

    /// Seconds in all.
    pub const QUICK: Self = Self {
        rounds: 1,
        pairs: 4,
        outstanding: 16,
        messages: 100,
        timed: 50,
        backlog: 2000,
        idle: 50,
        returning: 8,
        capacity: 100,
        drained: 50,
        live: [2, 8, 16],
        deliveries: 1000,
        committing: [4, 8, 16],
        commits: 3,
    };

    /// Bytes of a message as the server sees it.
    pub const MESSAGE_BYTES: usize = 1024;
}
