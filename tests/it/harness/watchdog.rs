//! Ends a run that hangs: names the story that does not come to its end, and gives up, so that nobody waits for ever.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process,
    sync::{Mutex, Once, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(10);
/// How often it finds a story before it gives up: far more than any takes, on any machine.
const LOOKS_MAX: u32 = 90;

/// How often each was found.
type Stories = BTreeMap<String, u32>;

static STORIES: Mutex<Stories> = Mutex::new(Stories::new());

thread_local! {
    /// Goes with the thread, and so after everything that a story may hang in.
    static STORY: Story = Story::begin();
}

/// The story that a thread tells.
struct Story(String);

/// Watches this thread until it ends, if it is one that tells a single story.
pub fn watch() {
    if thread::current().name() != Some("main") {
        STORY.with(|_| ());
    }
}

impl Story {
    fn begin() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| drop(thread::Builder::new().name("watchdog".to_owned()).spawn(look_on)));
        let thread = thread::current();
        let (name, id): (_, ThreadId) = (thread.name().unwrap_or("without a name"), thread.id());
        let name = format!("{name} ({id:?})");
        STORIES.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), 0);
        Self(name)
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        STORIES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn look_on() {
    loop {
        thread::park_timeout(PERIOD);
        for (name, looks) in STORIES.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            *looks += 1;
            if *looks > LOOKS_MAX {
                // Not by `eprintln!`, which the test that began this thread would keep to itself.
                let text = format!("{name} has not come to its end in {:?}; the whole run ends here\n", PERIOD * LOOKS_MAX);
                drop(io::stderr().write_all(text.as_bytes()));
                process::abort();
            }
        }
    }
}
